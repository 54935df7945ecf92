#include "common/storage/regular_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace millrace {

int OpenRegularFile(const std::string& path) {
  // O_NONBLOCK: open() does not wait for a FIFO's writer. It changes nothing for regular files.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) {
    return -1;
  }
  struct stat status = {};
  int error = 0;
  if (fstat(fd, &status) != 0) {
    error = errno;
  } else if (!S_ISREG(status.st_mode)) {
    error = S_ISDIR(status.st_mode) ? EISDIR : ENXIO;
  }
  if (error == 0) {
    return fd;
  }
  close(fd);
  errno = error;
  return -1;
}

}  // namespace millrace
