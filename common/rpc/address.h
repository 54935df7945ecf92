// Parses host:port as people write it, and finds out why a server cannot listen there. Does not use
// gRPC. Pure functions except for the probe.
#ifndef MILLRACE_COMMON_RPC_ADDRESS_H_
#define MILLRACE_COMMON_RPC_ADDRESS_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace millrace {

struct HostPort {
  std::string host;  // without the brackets of an IPv6 address
  uint16_t port = 0;

  // "host:port", "[::1]:port".
  std::string ToString() const;
};

// "host:port", "[::1]:port", ":port" or "port"; the last two mean the loopback address, so that
// nothing is open to the network unless somebody says so. INVALID_ARGUMENT shows the form.
absl::StatusOr<HostPort> ParseHostPort(std::string_view text);

// The addresses in "host:port,host:port", without blanks and empty entries.
std::vector<std::string> SplitAddresses(std::string_view text);

// Binds and releases `address` to find out whether and why not a server can listen there.
// ALREADY_EXISTS: in use; PERMISSION_DENIED, NOT_FOUND (no such host or interface) otherwise. The
// message names `address`, `purpose` (say "the driver") and `flag`, the way to choose another.
absl::Status CheckCanListen(const HostPort& address, std::string_view purpose,
                            std::string_view flag);

// Reserves an address before a server listens on it: no other process can get the address, and
// connections to it are refused at once. A server may begin to listen on it meanwhile. Movable.
class HeldAddress {
 public:
  // Errors are those of CheckCanListen. Port 0 becomes a free one.
  static absl::StatusOr<HeldAddress> Hold(std::string_view text, std::string_view purpose,
                                          std::string_view flag);
  HeldAddress(HeldAddress&& other) noexcept;
  HeldAddress& operator=(HeldAddress&&) = delete;
  ~HeldAddress();

  // The address, with the port that was chosen.
  const HostPort& address() const { return address_; }

 private:
  HeldAddress(int fd, HostPort address) : fd_(fd), address_(std::move(address)) {}

  int fd_;
  HostPort address_;
};

}  // namespace millrace

#endif  // MILLRACE_COMMON_RPC_ADDRESS_H_
