// A journal in files of one directory: journal-<number>.log, a new one with every start of a driver
// and after every failed write. Many records share one fdatasync (group commit): while one is under
// way, the next ones gather.
//
// A write or sync that failed is never tried again on the same file, since the kernel may have
// dropped the pages: the file is given up at its last synced length, and the header of the next one
// says so (previous_length). What lies beyond does not exist.
#ifndef MILLRACE_DRIVER_JOURNAL_FILE_JOURNAL_H_
#define MILLRACE_DRIVER_JOURNAL_FILE_JOURNAL_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/storage/file_system.h"
#include "driver/journal/journal.h"

namespace millrace {

struct FileJournalOptions {
  FileSystem* files = FileSystem::Real();
  std::string directory;
  std::string engine_version;
  std::string driver_id;
  // Told after every group commit: seconds it took, records in it. May be null; from the journal's
  // thread.
  std::function<void(double seconds, size_t records)> on_sync;
};

// Opens the journal of a directory (made if missing), handing every record to `on_record` in order,
// headers left out. ALREADY_EXISTS: another driver has the directory. DATA_LOSS names the file and
// offset that cannot be read. FAILED_PRECONDITION: a newer version wrote it. A torn tail of the
// last segment, what a crash leaves, is cut off and logged. The journal holds the directory's lock
// until destroyed; its destructor first writes what was appended.
absl::StatusOr<std::unique_ptr<Journal>> OpenFileJournal(
    FileJournalOptions options,
    const std::function<absl::Status(const proto::JournalRecord&)>& on_record);

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOURNAL_FILE_JOURNAL_H_
