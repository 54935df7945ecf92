#include "common/rpc/address.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace {
namespace {

absl::Status ListenError(int error, const std::string& address, std::string_view purpose,
                         std::string_view flag) {
  const std::string what =
      absl::StrCat("cannot listen on ", address, " for ", ToAbsl(purpose), ": ");
  const std::string way_out =
      absl::StrCat("choose another address with ", ToAbsl(flag), " (port 0 = any free one)");
  switch (error) {
    case EADDRINUSE:
      return absl::AlreadyExistsError(
          absl::StrCat(what, "the port is in use by another process; stop it or ", way_out));
    case EACCES:
      return absl::PermissionDeniedError(
          absl::StrCat(what, "not permitted (ports below 1024 need root); ", way_out));
    case EADDRNOTAVAIL:
      return absl::NotFoundError(absl::StrCat(what, "this machine has no such address; ", way_out));
    default:
      return absl::UnavailableError(absl::StrCat(what, std::strerror(error), "; ", way_out));
  }
}

// Returns 0 or the errno of what failed.
int TryBind(const addrinfo& info) {
  const int fd = socket(info.ai_family, info.ai_socktype | SOCK_CLOEXEC, info.ai_protocol);
  if (fd < 0) {
    return errno;
  }
  // As servers do: an old connection in TIME_WAIT does not count as in use.
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  int error = 0;
  if (bind(fd, info.ai_addr, info.ai_addrlen) != 0 || listen(fd, 1) != 0) {
    error = errno;
  }
  close(fd);
  return error;
}

}  // namespace

std::string HostPort::ToString() const {
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

absl::StatusOr<HostPort> ParseHostPort(std::string_view text) {
  const auto bad = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        "'", ToAbsl(text), "' is not an address; write host:port, e.g. 127.0.0.1:7100"));
  };
  HostPort result;
  std::string_view port = text;
  const size_t colon = text.rfind(':');
  if (colon != std::string_view::npos) {
    std::string_view host = text.substr(0, colon);
    port = text.substr(colon + 1);
    if (host.size() >= 2 && host.front() == '[' && host.back() == ']') {
      host = host.substr(1, host.size() - 2);
    } else if (host.find(':') != std::string_view::npos) {
      return bad();
    }
    result.host = std::string(host);
  }
  if (result.host.empty()) {
    result.host = "127.0.0.1";
  }
  uint32_t number = 0;
  if (!absl::SimpleAtoi(ToAbsl(port), &number) || number > 65535) {
    return bad();
  }
  result.port = static_cast<uint16_t>(number);
  return result;
}

absl::Status CheckCanListen(const HostPort& address, std::string_view purpose,
                            std::string_view flag) {
  addrinfo hints = {};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const std::string port = absl::StrCat(address.port);
  if (const int error = getaddrinfo(address.host.c_str(), port.c_str(), &hints, &found);
      error != 0) {
    return absl::NotFoundError(absl::StrCat("cannot listen on ", address.ToString(), " for ",
                                            ToAbsl(purpose), ": ", gai_strerror(error),
                                            "; choose another address with ", ToAbsl(flag)));
  }
  const int error = TryBind(*found);
  freeaddrinfo(found);
  return error == 0 ? absl::OkStatus() : ListenError(error, address.ToString(), purpose, flag);
}

}  // namespace millrace
