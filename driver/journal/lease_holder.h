// Which process holds a lease, and whether it certainly no longer lives. Thread-safe.
#ifndef MILLRACE_DRIVER_JOURNAL_LEASE_HOLDER_H_
#define MILLRACE_DRIVER_JOURNAL_LEASE_HOLDER_H_

#include <string>

#include "proto/journal.pb.h"

namespace millrace {

// Fills in host, pid, process_start and pid_space.
void DescribeThisProcess(proto::Lease* lease);

// True only if the holder's pid would be seen here (same boot, same pid namespace: two containers
// may share a host name and not their pids) and belongs to nobody, or to a later process.
bool HolderIsGone(const proto::Lease& lease);

// "1b2c…, pid 4711 on host alpha, at alpha:7070".
std::string HolderName(const proto::Lease& lease);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_LEASE_HOLDER_H_
