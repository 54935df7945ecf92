// Tells which process holds a lease, and whether that process has certainly ended. Thread-safe.
#ifndef MILLRACE_DRIVER_JOURNAL_LEASE_HOLDER_H_
#define MILLRACE_DRIVER_JOURNAL_LEASE_HOLDER_H_

#include <string>

#include "proto/journal.pb.h"

namespace millrace::driver {

// Fills in host, pid, process_start and pid_space.
void DescribeThisProcess(proto::Lease* lease);

// True only if this process would see the holder's pid, and that pid belongs to no process, or to a
// later one. It would see the pid on the same boot in the same pid namespace; two containers may
// share a host name and not their pids.
bool HolderIsGone(const proto::Lease& lease);

// "1b2c…, pid 4711 on host alpha, at alpha:7070".
std::string HolderName(const proto::Lease& lease);

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOURNAL_LEASE_HOLDER_H_
