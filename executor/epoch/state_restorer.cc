#include "executor/epoch/state_restorer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failpoint.h"
#include "common/base/status.h"

namespace millrace::executor {

StateRestorer::StateRestorer(TaskHost* host, const EpochLayout* layout, CheckpointStore* store,
                             std::vector<KeyedShard*> shards)
    : host_(host), layout_(*layout), store_(store), shards_(std::move(shards)) {}

void StateRestorer::Start(std::function<void()> done) {
  done_ = std::move(done);
  StartLayer();
}

void StateRestorer::StartLayer() {
  if (host_->ended()) {
    return;
  }
  if (layer_ == layout_.restore.layers_size()) {
    for (KeyedShard* shard : shards_) {
      shard->Restored();
    }
    MILLRACE_FAILPOINT("executor.restored");
    done_();
    return;
  }
  files_.clear();
  for (const proto::SnapshotFile& file : layout_.restore.layers(layer_).files()) {
    const auto has_some_of = [&](const KeyedShard* shard) {
      if (std::any_of(shard->identities().begin(), shard->identities().end(),
                      [&](const auto& identity) { return IsHashedAnew(file, identity); })) {
        return true;
      }
      const KeyGroups wanted = layout_.KeyGroupsOf(shard->shard());
      return std::any_of(file.key_groups().begin(), file.key_groups().end(),
                         [&](const proto::KeyGroupRange& range) { return wanted.Overlaps(range); });
    };
    if (std::any_of(shards_.begin(), shards_.end(), has_some_of)) {
      files_.push_back(&file);
    }
  }
  readers_.assign(files_.size(), std::nullopt);
  FanOut(
      host_, files_.size(), [self = shared_from_this()](size_t i) { self->ReadFile(i); },
      [self = shared_from_this()] { self->ApplyLayer(); });
}

void StateRestorer::ReadFile(size_t index) {
  if (host_->ended()) {
    return;
  }
  const proto::SnapshotFile& file = *files_[index];
  const proto::SnapshotLayer& layer = layout_.restore.layers(layer_);
  // The directory's name tells which incarnation wrote the file: a job that begins from a savepoint
  // reads files of another one.
  const std::string directory = file.name().substr(0, file.name().rfind('/'));
  const SnapshotFileOrigin origin{.incarnation = directory.substr(directory.rfind('/') + 1),
                                  .epoch = layer.epoch(),
                                  .batch = layer.batch(),
                                  .key_groups = layout_.plan.key_groups()};
  absl::StatusOr<SnapshotFileReader> reader = SnapshotFileReader::Open(store_, file, origin);
  if (reader.ok()) {
    readers_[index] = *std::move(reader);
  } else {
    host_->Fail(BatchId(), reader.status());
  }
}

void StateRestorer::ApplyLayer() {
  if (host_->ended()) {
    return;
  }
  const auto apply = [self = shared_from_this()](size_t i) {
    const absl::Status status = self->ApplyTo(self->shards_[i]);
    if (!status.ok()) {
      self->host_->Fail(BatchId(), status);
    }
  };
  FanOut(host_, files_.empty() ? 0 : shards_.size(), apply, [self = shared_from_this()] {
    ++self->layer_;
    self->StartLayer();
  });
}

absl::Status StateRestorer::ApplyTo(KeyedShard* shard) const {
  for (const std::optional<SnapshotFileReader>& reader : readers_) {
    for (const proto::StateIdentity& identity : shard->identities()) {
      if (host_->ended()) {
        return absl::OkStatus();
      }
      RETURN_IF_ERROR(ApplyFile(*reader, identity, shard));
    }
  }
  return absl::OkStatus();
}

absl::Status StateRestorer::ApplyFile(const SnapshotFileReader& file,
                                      const proto::StateIdentity& identity,
                                      KeyedShard* shard) const {
  if (!Wanted(identity.name())) {
    return absl::OkStatus();
  }
  for (const proto::StateIdentity& there : file.header().operators()) {
    if (there.name() == identity.name() && there.shape() != identity.shape()) {
      return absl::FailedPreconditionError(
          absl::StrCat("snapshot file ", file.name(), ": the state of ", identity.name(), " is (",
                       there.shape(), "), the plan needs (", identity.shape(),
                       "): start from a savepoint without it, or keep the query as it was"));
    }
  }
  return file.Read(identity, layout_.KeyGroupsOf(shard->shard()),
                   [shard](const StateBlock& block) { return shard->Restore(block); });
}

bool StateRestorer::Wanted(const std::string& operator_name) const {
  const auto& operators = layout_.restore.operators();
  return operators.empty() ||
         std::any_of(operators.begin(), operators.end(), [&](const proto::StateIdentity& listed) {
           return listed.name() == operator_name;
         });
}

}  // namespace millrace::executor
