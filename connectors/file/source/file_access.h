// Helpers for reading files: errors of the system as messages, and the places where complete
// records end.
#ifndef MILLRACE_CONNECTORS_FILE_SOURCE_FILE_ACCESS_H_
#define MILLRACE_CONNECTORS_FILE_SOURCE_FILE_ACCESS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "connectors/formats/csv/csv_record.h"

namespace millrace::file {

// `errno` after a call that failed, as "what path: text".
absl::Status SystemError(int error, std::string_view what, const std::string& path);

// Owns a file descriptor.
class FileHandle {
 public:
  FileHandle() = default;
  explicit FileHandle(int fd) : fd_(fd) {}
  FileHandle(FileHandle&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileHandle& operator=(FileHandle&& other) noexcept;
  ~FileHandle();

  // Never waits. INVALID_ARGUMENT if the path is a FIFO, a device or a socket.
  static absl::StatusOr<FileHandle> OpenToRead(const std::string& path);

  int fd() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

absl::StatusOr<int64_t> FileSize(const FileHandle& file, const std::string& path);
// Reads up to `size` bytes at `offset`; fewer at the end of the file.
absl::StatusOr<size_t> ReadAt(const FileHandle& file, const std::string& path, int64_t offset,
                              char* out, size_t size);

// INVALID_ARGUMENT if the path is not UTF-8: names of files are journaled, sent and shown as text.
absl::Status CheckIsText(const std::string& path);

// The files that a source's path means now, sorted: the file itself, those in the directory
// (without hidden ones and ones that begin with "_"), or those that match. NOT_FOUND for a path
// that does not exist, unless `may_come`; INVALID_ARGUMENT if a name is not UTF-8, or the path is
// neither a directory nor a regular file.
absl::StatusOr<std::vector<std::string>> ListFiles(const std::string& path, bool may_come);

// How a file is cut into records: at its line ends; in CSV, at those that are not between quotes.
struct RecordFraming {
  std::optional<char> csv_delimiter;  // none: the format is not CSV
};

// Finds the ends of records in bytes that may come in pieces.
class RecordEnds {
 public:
  explicit RecordEnds(RecordFraming framing);
  // The position behind the line end that ends the record to which bytes[at] belongs; npos if
  // `bytes` do not have it: the next call then goes on with the bytes that follow them.
  size_t Next(std::string_view bytes, size_t at);

 private:
  std::optional<CsvRecordEnds> csv_;
};

// Where the record that begins at `begin` ends (behind its line end); npos if `bytes` do not have
// its end.
size_t FindRecordEnd(std::string_view bytes, size_t begin, RecordFraming framing);

// The first offset, at or behind `offset`, where a record begins; the file's size if there is none.
absl::StatusOr<int64_t> NextRecord(const FileHandle& file, const std::string& path, int64_t offset,
                                   RecordFraming framing);

// Finds how far a growing file has complete records. Thread-compatible; remembers how far it has
// looked.
class CompleteRecords {
 public:
  explicit CompleteRecords(RecordFraming framing) : framing_(framing), ends_(framing) {}
  // The end of the last complete record. REQUIRES: the file still begins with the bytes of earlier
  // calls, and has `size` bytes now.
  absl::StatusOr<int64_t> End(const FileHandle& file, const std::string& path, int64_t size);

 private:
  absl::StatusOr<int64_t> LastLineEnd(const FileHandle& file, const std::string& path,
                                      int64_t size) const;
  // Moves end_ to the end of the last complete record; takes a piece of the file at a time, since a
  // record may be as long as the file (a quote that is never closed).
  absl::Status ScanForward(const FileHandle& file, const std::string& path, int64_t size);

  RecordFraming framing_;
  RecordEnds ends_;  // for CSV: has seen the bytes before scanned_
  int64_t scanned_ = 0;
  int64_t size_ = 0;  // size of the file when end_ was found
  int64_t end_ = 0;
};

}  // namespace millrace::file

#endif  // MILLRACE_CONNECTORS_FILE_SOURCE_FILE_ACCESS_H_
