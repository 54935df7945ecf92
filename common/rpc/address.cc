#include "common/rpc/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
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

using AddressInfo = std::unique_ptr<addrinfo, decltype(&freeaddrinfo)>;

absl::StatusOr<AddressInfo> Resolve(const HostPort& address, std::string_view purpose,
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
  return AddressInfo(found, &freeaddrinfo);
}

// Returns the socket, or a negative number with errno set.
int Bind(const addrinfo& info) {
  const int fd = socket(info.ai_family, info.ai_socktype | SOCK_CLOEXEC, info.ai_protocol);
  if (fd < 0) {
    return fd;
  }
  // As servers do: an old connection in TIME_WAIT does not count as in use.
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (bind(fd, info.ai_addr, info.ai_addrlen) != 0) {
    const int error = errno;
    close(fd);
    errno = error;
    return -1;
  }
  return fd;
}

uint16_t PortOf(int fd) {
  sockaddr_storage bound = {};
  socklen_t length = sizeof(bound);
  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length);
  return ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                           : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
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

std::vector<std::string> SplitAddresses(std::string_view text) {
  std::vector<std::string> addresses;
  for (const absl::string_view piece : absl::StrSplit(ToAbsl(text), ',')) {
    if (const absl::string_view address = absl::StripAsciiWhitespace(piece); !address.empty()) {
      addresses.emplace_back(address);
    }
  }
  return addresses;
}

absl::Status CheckCanListen(const HostPort& address, std::string_view purpose,
                            std::string_view flag) {
  ASSIGN_OR_RETURN(const AddressInfo info, Resolve(address, purpose, flag));
  const int fd = Bind(*info);
  // Two sockets may be bound to one address, but only one can listen.
  const int error = fd < 0 || listen(fd, 1) != 0 ? errno : 0;
  if (fd >= 0) {
    close(fd);
  }
  return error == 0 ? absl::OkStatus() : ListenError(error, address.ToString(), purpose, flag);
}

absl::StatusOr<HeldAddress> HeldAddress::Hold(std::string_view text, std::string_view purpose,
                                              std::string_view flag) {
  ASSIGN_OR_RETURN(HostPort address, ParseHostPort(text));
  RETURN_IF_ERROR(CheckCanListen(address, purpose, flag));
  ASSIGN_OR_RETURN(const AddressInfo info, Resolve(address, purpose, flag));
  const int fd = Bind(*info);
  if (fd < 0) {
    return ListenError(errno, address.ToString(), purpose, flag);
  }
  address.port = PortOf(fd);
  return HeldAddress(fd, std::move(address));
}

HeldAddress::HeldAddress(HeldAddress&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), address_(std::move(other.address_)) {}

HeldAddress::~HeldAddress() {
  if (fd_ >= 0) {
    close(fd_);
  }
}

}  // namespace millrace
