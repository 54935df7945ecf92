# Sourced by ./demo and ./check, from the root of the repository.

# Bazel and npm keep caches under HOME; an account without a home directory that can be written gets one in here.
if [ ! -d "${HOME:-}" ] || [ ! -w "${HOME:-}" ]; then
  export HOME="$PWD/.cache/home"
  mkdir -p "$HOME"
fi

die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# Prints the packages of the given groups (see third_party/apt-packages.txt) that are not installed.
missing_packages() {
  local groups=" $* " group package command wanted=()
  while read -r group package command; do
    [[ "$groups" == *" $group "* ]] || continue
    [ -n "$command" ] && type -P "$command" >/dev/null && continue
    wanted+=("$package")
  done < <(grep -v '^#' third_party/apt-packages.txt)
  # dpkg-query knows libraries as name:architecture and says nothing of packages it never heard of.
  comm -23 <(printf '%s\n' "${wanted[@]}" | LC_ALL=C sort) \
    <(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
      sed -n 's/^installed //p' | LC_ALL=C sort -u)
}

# Installs what is missing of the given groups. Says what, and asks for root only if something is.
install_packages() {
  local missing as_root=()
  type -P dpkg-query >/dev/null || die "this needs Debian 12 (no dpkg-query here)"
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -eq 0 ] && return
  echo "Installing Debian packages: ${missing[*]}"
  if [ "$(id -u)" -ne 0 ]; then
    type -P sudo >/dev/null ||
      die "these packages are missing and there is no sudo; as root, run: apt-get install ${missing[*]}"
    as_root=(sudo)
    [ -t 0 ] || as_root+=(--non-interactive)
  fi
  local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq)
  "${apt[@]}" update </dev/null ||
    echo "apt-get update failed; trying with the package lists that are here" >&2
  "${apt[@]}" install -y --no-install-recommends "${missing[@]}" </dev/null >/dev/null ||
    die "could not install them; as root, run: apt-get update && apt-get install ${missing[*]}"
}
