#include "connectors/file/sink/rolling_files.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/failure_kind.h"
#include "common/base/status.h"
#include "connectors/formats/utf8.h"

namespace millrace::file {
namespace {

constexpr int64_t kCopyBytes = 4 << 20;  // at once

absl::Status WrongLength(const std::string& path, int64_t found, int64_t expected) {
  return absl::DataLossError(absl::StrCat(path, " holds ", found, " bytes, but ", expected,
                                          " were committed: it was cut or replaced"));
}

}  // namespace

absl::Status RollingFiles::Claim(const FileSinkMarker& journaled) {
  RETURN_IF_ERROR(LookAround(journaled));
  marker_ = journaled;
  RETURN_IF_ERROR(PublishClosed(std::numeric_limits<int64_t>::max()));
  if (!journaled.open.empty()) {
    RETURN_IF_ERROR(TakeOver());
  }
  marker_.shape = options_.shape;
  return absl::OkStatus();
}

// A file that is not found. It is lost only if its directory is there.
absl::Status RollingFiles::Missing(const std::string& path, int64_t expected) const {
  RETURN_IF_ERROR(files_->List(options_.directory).status());
  return absl::DataLossError(
      absl::StrCat(path, " is gone, of which ", expected,
                   " bytes were committed; put it back, or the table's path if that was changed"));
}

absl::Status RollingFiles::LookAround(const FileSinkMarker& journaled) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, files_->List(options_.directory));
  std::vector<std::string> unneeded;
  for (const std::string& name : names) {
    if (const std::optional<Epoch> epoch = options_.names.EpochOfOpen(name)) {
      if (*epoch > options_.epoch) {
        return absl::AbortedError(absl::StrCat(Path(name), " belongs to the higher epoch ",
                                               epoch->value(), "; this is ",
                                               options_.epoch.value()));
      }
      const bool needed =
          name == journaled.open ||
          std::any_of(journaled.closed.begin(), journaled.closed.end(),
                      [&](const FileSinkMarker::Closed& file) { return file.open == name; });
      if (*epoch < options_.epoch && !needed) {
        unneeded.push_back(name);
      }
    } else if (options_.names.SeqOfFinal(name).value_or(-1) >= journaled.seq) {
      return absl::DataLossError(
          absl::StrCat(Path(name), " is not in the journal, which ends before it (batch ",
                       journaled.batch.value(), "): is it an old copy?"));
    }
  }
  // No marker can name these files later: their writers belong to lower epochs, whose commits the
  // journal refuses from now on.
  for (const std::string& name : unneeded) {
    RETURN_IF_ERROR(RemoveIfThere(name));
  }
  return absl::OkStatus();
}

absl::Status RollingFiles::RemoveIfThere(const std::string& name) {
  const absl::Status removed = files_->Remove(Path(name));
  return absl::IsNotFound(removed) ? absl::OkStatus() : removed;
}

void RollingFiles::GiveUp(const std::string& name) {
  if (!RemoveIfThere(name).ok()) {
    unneeded_.emplace_back(name, BatchId(0));
  }
}

absl::Status RollingFiles::TakeOver() {
  ASSIGN_OR_RETURN(const std::string own, NewFile());
  RETURN_IF_ERROR(file_->Sync());
  RETURN_IF_ERROR(files_->SyncDirectory(options_.directory));
  MILLRACE_FAILPOINT("file_sink.copied");
  claimed_ = std::exchange(marker_.open, own);
  if (marker_.shape != options_.shape) {
    Close(&marker_, marker_.batch.Next());
  }
  return absl::OkStatus();
}

absl::Status RollingFiles::AppendAhead(const Addition& addition) {
  RETURN_IF_ERROR(lost_);
  if (!ahead_.has_value()) {
    RETURN_IF_ERROR(BeginAhead(addition));
  }
  ahead_->is_only_copy = true;
  const absl::Status written = Append(addition.lines);
  MILLRACE_FAILPOINT("file_sink.ahead");
  return written.ok() ? written : Break(written);
}

absl::Status RollingFiles::Commit(const Addition& addition) {
  RETURN_IF_ERROR(lost_);
  if (ahead_.has_value() && addition.batch < ahead_->batch) {
    // The commit ends before the batch whose lines are in the file already. So it has no lines to
    // add. It does not close the file, which holds uncommitted lines.
    marker_.batch = addition.batch;
    return absl::OkStatus();
  }
  FileSinkMarker next = marker_;
  const bool in_doubt = file_ == nullptr && !marker_.open.empty();
  if (in_doubt || ahead_.has_value() || !addition.lines.empty()) {
    RETURN_IF_ERROR(WriteLines(&next, addition));
  }
  if (!claimed_.empty()) {
    unneeded_.emplace_back(std::exchange(claimed_, ""), addition.batch);
  }
  if (!marker_.open.empty() && marker_.open != next.open) {
    unneeded_.emplace_back(marker_.open, addition.batch);
  }
  const bool due = addition.close || next.length >= options_.roll_bytes ||
                   addition.end_us - next.begin_us >= options_.roll_us;
  if (!next.open.empty() && due) {
    Close(&next, addition.batch);
    MILLRACE_FAILPOINT("file_sink.rolled");
  }
  if (!next.closed.empty()) {
    unsettled_us_ = std::max(unsettled_us_, addition.end_us);
  }
  next.batch = addition.batch;
  marker_ = std::move(next);
  return absl::OkStatus();
}

absl::Status RollingFiles::WriteLines(FileSinkMarker* next, const Addition& addition) {
  if (!ahead_.has_value()) {
    RETURN_IF_ERROR(BeginAhead(addition));
  }
  MILLRACE_FAILPOINT("file_sink.before_append");
  absl::Status written = Append(addition.lines);
  MILLRACE_FAILPOINT("file_sink.appended");
  const bool is_new = ahead_->open != marker_.open;
  written = written.ok() ? file_->Sync() : written;
  written = written.ok() && is_new ? files_->SyncDirectory(options_.directory) : written;
  if (!written.ok()) {
    return Break(written);
  }
  MILLRACE_FAILPOINT("file_sink.synced");
  if (next->length == 0) {
    next->begin_us = ahead_->begin_us;
  }
  next->open = ahead_->open;
  next->length += ahead_->bytes;
  ahead_.reset();
  return absl::OkStatus();
}

absl::Status RollingFiles::BeginAhead(const Addition& addition) {
  Ahead ahead{.batch = addition.batch, .open = marker_.open, .begin_us = addition.begin_us};
  if (file_ == nullptr) {
    ASSIGN_OR_RETURN(ahead.open, NewFile());
  }
  ahead_ = std::move(ahead);
  return absl::OkStatus();
}

// Readers pass over a byte order mark at the start of a file: to a value that begins with one,
// another is put in front.
std::string_view RollingFiles::FirstBytes(const std::vector<std::string_view>& lines) const {
  const auto first = std::find_if(lines.begin(), lines.end(),
                                  [](std::string_view piece) { return !piece.empty(); });
  const bool marked = first != lines.end() && first->starts_with(kByteOrderMark);
  return options_.header.empty() && marked ? kByteOrderMark : std::string_view(options_.header);
}

absl::Status RollingFiles::Append(const std::vector<std::string_view>& lines) {
  const auto append = [this](std::string_view bytes) {
    ahead_->bytes += static_cast<int64_t>(bytes.size());
    return file_->Append(bytes);
  };
  if (const std::string_view first = FirstBytes(lines);
      marker_.length + ahead_->bytes == 0 && !first.empty()) {
    RETURN_IF_ERROR(append(first));
  }
  for (const std::string_view piece : lines) {
    RETURN_IF_ERROR(append(piece));
  }
  return absl::OkStatus();
}

absl::Status RollingFiles::Break(const absl::Status& status) {
  file_.reset();
  const Ahead ahead = *std::exchange(ahead_, std::nullopt);
  if (ahead.open != marker_.open) {
    GiveUp(ahead.open);
  }
  if (ahead.is_only_copy) {
    lost_ = WithFailureKind(
        Reworded(status, absl::StrCat(status.message(), "; rows of batch ", ahead.batch.value(),
                                      " were in that file only, so the batch is run again")),
        FailureKind::kEnvironment);
    return lost_;
  }
  return status;
}

absl::StatusOr<std::string> RollingFiles::NewFile() {
  // The open file may have been begun in another format.
  const std::string final = marker_.open.empty() ? options_.names.Final(marker_.seq)
                                                 : FileSinkNames::FinalOf(marker_.open);
  while (true) {
    std::string name = FileSinkNames::OpenOf(final, options_.epoch, copies_++);
    absl::StatusOr<std::unique_ptr<AppendFile>> file = files_->Create(Path(name));
    if (absl::IsAlreadyExists(file.status())) {
      continue;  // of an earlier writer of this epoch, which has ended
    }
    RETURN_IF_ERROR(file.status());
    const absl::Status copied = Copy(marker_.open, marker_.length, file->get());
    if (!copied.ok()) {
      GiveUp(name);
      return copied;
    }
    file_ = *std::move(file);
    return name;
  }
}

absl::Status RollingFiles::Copy(const std::string& name, int64_t length, AppendFile* to) const {
  for (int64_t done = 0; done < length;) {
    const absl::StatusOr<std::string> bytes =
        files_->ReadRange(Path(name), done, std::min(kCopyBytes, length - done));
    if (absl::IsNotFound(bytes.status())) {
      return Missing(Path(name), length);
    }
    RETURN_IF_ERROR(bytes.status());
    if (bytes->empty()) {
      return WrongLength(Path(name), done, length);
    }
    RETURN_IF_ERROR(to->Append(*bytes));
    done += static_cast<int64_t>(bytes->size());
  }
  return absl::OkStatus();
}

void RollingFiles::Close(FileSinkMarker* marker, BatchId batch) {
  file_.reset();  // everything is durable
  copies_ = 0;
  marker->closed.push_back({std::exchange(marker->open, ""), marker->length, batch});
  marker->length = 0;
  marker->begin_us = 0;
  ++marker->seq;
}

absl::Status RollingFiles::Settle(BatchId batch) {
  RETURN_IF_ERROR(PublishClosed(batch.value()));
  for (auto file = unneeded_.begin(); file != unneeded_.end();) {
    if (file->second > batch) {
      ++file;
      continue;
    }
    RETURN_IF_ERROR(RemoveIfThere(file->first));
    file = unneeded_.erase(file);
  }
  return absl::OkStatus();
}

absl::Status RollingFiles::PublishClosed(int64_t batch) {
  size_t count = 0;  // files are closed in the order of batches
  std::vector<std::string> beaten;
  for (; count < marker_.closed.size() && marker_.closed[count].batch.value() <= batch; ++count) {
    const FileSinkMarker::Closed& file = marker_.closed[count];
    MILLRACE_FAILPOINT("file_sink.before_publish");
    ASSIGN_OR_RETURN(const bool renamed, Publish(file));
    if (!renamed) {
      beaten.push_back(file.open);
    }
  }
  if (count == 0) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(files_->SyncDirectory(options_.directory));
  MILLRACE_FAILPOINT("file_sink.published");
  // Removed only now: the process that published first may have died before it made the name
  // durable.
  for (const std::string& name : beaten) {
    RETURN_IF_ERROR(RemoveIfThere(name));
  }
  marker_.closed.erase(marker_.closed.begin(), marker_.closed.begin() + count);
  return absl::OkStatus();
}

absl::StatusOr<bool> RollingFiles::Publish(const FileSinkMarker::Closed& file) {
  const std::string open = Path(file.open);
  const std::string final = Path(FileSinkNames::FinalOf(file.open));
  const absl::StatusOr<int64_t> size = files_->Size(open);
  absl::Status renamed = size.status();
  if (size.ok() && *size != file.length) {
    return WrongLength(open, *size, file.length);
  }
  if (size.ok()) {
    renamed = files_->RenameNoReplace(open, final);
  }
  if (renamed.ok()) {
    return true;
  }
  if (!absl::IsAlreadyExists(renamed) && !absl::IsNotFound(renamed)) {
    return renamed;
  }
  // The name exists already: another epoch made it, or this job did before a crash or before an
  // error of the directory's sync.
  const absl::StatusOr<int64_t> published = files_->Size(final);
  if (absl::IsNotFound(published.status())) {
    return Missing(open, file.length);
  }
  RETURN_IF_ERROR(published.status());
  return *published == file.length ? absl::StatusOr<bool>(false)
                                   : WrongLength(final, *published, file.length);
}

int64_t RollingFiles::wake_at_us() const {
  if (!marker_.closed.empty()) {
    return unsettled_us_ + 1;  // wake at the next batches: one of them settles the commit
  }
  if (marker_.open.empty()) {
    return 0;
  }
  const int64_t latest = std::numeric_limits<int64_t>::max() - options_.roll_us;
  return std::min(marker_.begin_us, latest) + options_.roll_us;
}

}  // namespace millrace::file
