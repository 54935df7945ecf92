// Opening a file whose name was not chosen by this program: it came from a script, or was found in
// a directory that others write to.
#ifndef MILLRACE_COMMON_STORAGE_REGULAR_FILE_H_
#define MILLRACE_COMMON_STORAGE_REGULAR_FILE_H_

#include <string>

namespace millrace {

// Opens a regular file to read it; returns the descriptor, which the caller closes. Never waits: a
// FIFO that nobody writes to would hold open() and read() for ever, and so whoever wants to stop
// the process. Returns -1 with errno for an error: EISDIR for a directory, ENXIO for whatever else
// is no regular file (FIFO, socket, device), as open(2) says for a socket.
int OpenRegularFile(const std::string& path);

}  // namespace millrace

#endif  // MILLRACE_COMMON_STORAGE_REGULAR_FILE_H_
