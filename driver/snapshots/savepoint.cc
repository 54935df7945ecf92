#include "driver/snapshots/savepoint.h"

#include <re2/re2.h>
#include <xxhash.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "common/storage/checkpoint_store.h"

namespace millrace::driver {
namespace {

constexpr char kManifest[] = "savepoint";
// The manifest's file is this magic, the XXH3 of what follows, and the message.
constexpr std::string_view kMagic = "MRSP";

absl::StatusOr<std::unique_ptr<CheckpointStore>> OpenStore(const std::string& location) {
  return CheckpointStore::Open(location, FileSystem::Real());
}

// A job that began from a savepoint keeps the savepoint's files here, below its own, each in a
// directory named by the incarnation that wrote the file. The file itself repeats that name.
constexpr std::string_view kAdopted = "from";

// The last directory and the file name of `path`: the incarnation that wrote the file, and its name
// there.
std::string WriterAndFile(const std::string& path) {
  const size_t file = path.rfind('/');
  const size_t directory =
      file == std::string::npos || file == 0 ? std::string::npos : path.rfind('/', file - 1);
  return directory == std::string::npos ? path : path.substr(directory + 1);
}

// (epoch, batch) of a snapshot file's name, "e<epoch>-b<batch>-…"; nothing for other names.
std::optional<std::pair<int64_t, int64_t>> WrittenAt(const std::string& name) {
  int64_t epoch = 0;
  int64_t batch = 0;
  if (!RE2::PartialMatch(name, R"(^e(\d+)-b(\d+)-)", &epoch, &batch)) {
    return std::nullopt;
  }
  return std::make_pair(epoch, batch);
}

// Copies one listed file, which must be what the list says.
absl::Status CopyFile(const proto::SnapshotFile& file, CheckpointStore* from,
                      const std::string& to_name, CheckpointStore* to) {
  ASSIGN_OR_RETURN(const std::string bytes, from->Read(file.name()));
  if (bytes.size() != file.bytes() || XXH3_64bits(bytes.data(), bytes.size()) != file.checksum()) {
    return absl::DataLossError(absl::StrCat("snapshot file ", file.name(), " has ", bytes.size(),
                                            " bytes that are not the ", file.bytes(),
                                            " that were written: it was cut or replaced"));
  }
  return to->Write(to_name, bytes);
}

// Copies every file of the snapshot to the name that `rename` returns, and lists it under that
// name.
template <typename Rename>
absl::StatusOr<proto::Snapshot> CopyFiles(proto::Snapshot snapshot, CheckpointStore* from,
                                          CheckpointStore* to, Rename rename) {
  for (proto::SnapshotLayer& layer : *snapshot.mutable_layers()) {
    for (proto::SnapshotFile& file : *layer.mutable_files()) {
      std::string name = rename(file.name());
      RETURN_IF_ERROR(CopyFile(file, from, name, to));
      file.set_name(std::move(name));
    }
  }
  return snapshot;
}

}  // namespace

std::string SnapshotDirectoryOf(const std::string& incarnation) { return incarnation; }

absl::StatusOr<proto::Savepoint> MakeSavepoint(const JobHistory& history) {
  proto::Savepoint savepoint;
  savepoint.set_format_version(kSavepointFormatVersion);
  savepoint.set_engine_version(history.plan().engine_version());
  savepoint.set_job_name(history.name());
  savepoint.set_batch_time_us(history.last_batch_time_us());
  ASSIGN_OR_RETURN(const RecoveryPlan recovery, history.PlanRecovery());
  if (!history.plan().running_state()) {
    savepoint.mutable_snapshot()->set_batch(history.last_committed().value());
  } else if (recovery.snapshot == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("job '", history.name(), "' has no snapshot of its state yet"));
  } else {
    *savepoint.mutable_snapshot() = *recovery.snapshot;
  }
  for (size_t i = 0; i < history.partitions().size(); ++i) {
    const JobPartition& partition = history.partitions()[i];
    proto::Savepoint::TablePosition* position = savepoint.add_positions();
    position->set_table(history.plan().sources(static_cast<int>(partition.source)).table());
    position->set_partition(partition.name);
    position->set_offset(recovery.read_from[i]);
    position->set_topic_id(partition.topic_id);
  }
  return savepoint;
}

absl::StatusOr<uint64_t> WriteSavepoint(const proto::Savepoint& savepoint, const std::string& from,
                                        const std::string& to) {
  ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointStore> target, OpenStore(to));
  ASSIGN_OR_RETURN(const std::vector<std::string> there, target->List(""));
  if (!there.empty()) {
    return absl::AlreadyExistsError(
        absl::StrCat("savepoint location '", to, "' is not empty; name another directory"));
  }
  proto::Savepoint copied = savepoint;
  uint64_t bytes = 0;
  if (savepoint.snapshot().layers_size() > 0) {
    ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointStore> source, OpenStore(from));
    ASSIGN_OR_RETURN(*copied.mutable_snapshot(),
                     CopyFiles(savepoint.snapshot(), source.get(), target.get(), WriterAndFile));
  }
  for (const proto::SnapshotLayer& layer : copied.snapshot().layers()) {
    for (const proto::SnapshotFile& file : layer.files()) {
      bytes += file.bytes();
    }
  }
  MILLRACE_FAILPOINT("savepoint.copied");
  RETURN_IF_ERROR(target->Write(kManifest, SerializeSavepoint(copied)));
  MILLRACE_FAILPOINT("savepoint.written");
  return bytes;
}

absl::StatusOr<proto::Savepoint> ReadSavepoint(const std::string& location) {
  ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointStore> store, OpenStore(location));
  const absl::StatusOr<std::string> bytes = store->Read(kManifest);
  if (absl::IsNotFound(bytes.status())) {
    return absl::NotFoundError(absl::StrCat(
        "there is no savepoint at '", location, "': it has no file '", kManifest,
        "', which is written last; name the directory that millrace jobs savepoint printed"));
  }
  RETURN_IF_ERROR(bytes.status());
  return ParseSavepoint(*bytes, location);
}

std::string SerializeSavepoint(const proto::Savepoint& savepoint) {
  const std::string payload = savepoint.SerializeAsString();
  const uint64_t hash = XXH3_64bits(payload.data(), payload.size());
  std::string manifest(kMagic);
  manifest.append(reinterpret_cast<const char*>(&hash), sizeof(hash));
  manifest.append(payload);
  return manifest;
}

absl::StatusOr<proto::Savepoint> ParseSavepoint(std::string_view bytes,
                                                const std::string& location) {
  const size_t header = kMagic.size() + sizeof(uint64_t);
  proto::Savepoint savepoint;
  uint64_t hash = 0;
  bool whole = bytes.size() >= header && bytes.starts_with(kMagic);
  if (whole) {
    std::memcpy(&hash, bytes.data() + kMagic.size(), sizeof(hash));
    const std::string_view payload = bytes.substr(header);
    whole = XXH3_64bits(payload.data(), payload.size()) == hash &&
            savepoint.ParseFromArray(payload.data(), static_cast<int>(payload.size()));
  }
  if (!whole) {
    return absl::DataLossError(
        absl::StrCat("the file '", kManifest, "' at '", location, "' is damaged"));
  }
  if (savepoint.format_version() > kSavepointFormatVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the savepoint at '", location, "' was written by Millrace ", savepoint.engine_version(),
        " in savepoint format ", savepoint.format_version(), "; this one reads formats up to ",
        kSavepointFormatVersion));
  }
  return savepoint;
}

absl::StatusOr<proto::Snapshot> AdoptSnapshot(const proto::Savepoint& savepoint,
                                              const std::string& from, const std::string& to,
                                              const std::string& incarnation) {
  ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointStore> source, OpenStore(from));
  ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointStore> target, OpenStore(to));
  return CopyFiles(savepoint.snapshot(), source.get(), target.get(), [&](const std::string& name) {
    return absl::StrCat(SnapshotDirectoryOf(incarnation), "/", ToAbsl(kAdopted), "/",
                        WriterAndFile(name));
  });
}

absl::Status RemoveOldSnapshots(const std::string& location, FileSystem* files,
                                const std::string& incarnation, Epoch epoch, BatchId batch,
                                const std::set<std::string>& keep) {
  ASSIGN_OR_RETURN(const std::unique_ptr<CheckpointStore> store,
                   CheckpointStore::Open(location, files));
  const std::string own = SnapshotDirectoryOf(incarnation);
  absl::Status removed;
  // Goes on after an error: one file that cannot be removed must not keep all later ones.
  const auto remove = [&](const std::string& path) {
    removed.Update(keep.contains(path) ? absl::OkStatus() : store->Remove(path));
    MILLRACE_FAILPOINT("snapshots.removed_one");
  };
  ASSIGN_OR_RETURN(const std::vector<std::string> names, store->List(own));
  for (const std::string& name : names) {
    const std::optional<std::pair<int64_t, int64_t>> written = WrittenAt(name);
    if (written.has_value() && *written <= std::make_pair(epoch.value(), batch.value())) {
      remove(absl::StrCat(own, "/", name));
    }
  }
  // Adopted files are written before the job's first epoch, and never again.
  const std::string adopted = absl::StrCat(own, "/", ToAbsl(kAdopted));
  ASSIGN_OR_RETURN(const std::vector<std::string> writers, store->List(adopted));
  for (const std::string& writer : writers) {
    const std::string directory = absl::StrCat(adopted, "/", writer);
    ASSIGN_OR_RETURN(const std::vector<std::string> adopted_files, store->List(directory));
    for (const std::string& file : adopted_files) {
      remove(absl::StrCat(directory, "/", file));
    }
  }
  return removed;
}

}  // namespace millrace::driver
