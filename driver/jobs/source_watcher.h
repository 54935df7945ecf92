// Watches one source table for a job: a thread that asks the source's enumerator for ends and new
// partitions, and publishes how far the job has committed. It has a thread of its own because every
// one of these calls may take seconds when the broker is away.
//
// It also notices what makes the job's offsets meaningless: a partition that is gone, that ends
// before what has been read of it, or that has another identity than before. If the source's
// partitions may come and go, a gone partition is reported with the ends; otherwise it is an error.
// The watcher does not ask about retired partitions.
#ifndef MILLRACE_DRIVER_JOBS_SOURCE_WATCHER_H_
#define MILLRACE_DRIVER_JOBS_SOURCE_WATCHER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/monotonic_cond_var.h"
#include "connectors/source.h"

namespace millrace::driver {

// A partition that the job does not know, or a retired one that has something to read again.
struct NewPartition {
  PartitionName name;
  Offset earliest;  // of a retired partition: where it was left
  std::string identity;
};

struct SourceWatcherOptions {
  std::string table;  // for messages
  SourceTraits traits;
  absl::Duration ends_interval = absl::Seconds(1);
  absl::Duration discovery_interval = absl::Seconds(5);  // infinite: never
  absl::Duration identities_interval = absl::Seconds(1);
  absl::Duration publish_interval = absl::Milliseconds(200);
  absl::Duration call_timeout = absl::Seconds(5);

  // The callbacks below run on the watcher's thread.
  std::function<void(const std::vector<PartitionEnd>& ends)> on_ends;
  std::function<void(const std::vector<NewPartition>& found)> on_found;
  std::function<void(const absl::Status& cause)> on_lost;  // the source is gone for good
  // Called on changes: what is wrong, or OK again.
  std::function<void(const absl::Status& trouble)> on_trouble;
};

// Thread-safe.
class SourceWatcher {
 public:
  SourceWatcher(std::unique_ptr<SourceEnumerator> enumerator,
                const std::vector<KnownPartition>& partitions, SourceWatcherOptions options);
  // Does what Stop does.
  ~SourceWatcher();

  void set_ends_interval(absl::Duration interval);

  // Publishes these next offsets soon; a later call replaces offsets that are still waiting.
  void Publish(const std::vector<PartitionOffset>& committed);

  // Stops asking about these partitions, until discovery finds something to read in them again.
  void Retire(const std::vector<PartitionName>& partitions);

  // Asks the thread to end after its present call, and returns at once: so several watchers end
  // together.
  void RequestStop();
  // Publishes the waiting offsets, unless the last call to the source or the last attempt to
  // publish failed, then ends the thread. May take two call timeouts; one if the source does not
  // answer. Idempotent.
  void Stop();

 private:
  void Run();
  bool IsStopping();
  void WatchUntilStopped();
  void AskEnds();
  // NOT_FOUND or OUT_OF_RANGE when records that were read are known to be gone.
  absl::Status FindCut(const std::vector<PartitionEnd>& ends,
                       const std::map<PartitionName, Offset>& read) const;
  // Finds partitions that have another identity than before. They are an error, unless the source's
  // partitions may come and go: then they become gone ones among `ends`.
  absl::Status FindRecreated(std::vector<PartitionEnd>* ends);
  // Drops from `ends` the gone partitions that have not been missing several times in a row yet.
  void DropUnconfirmedGone(std::vector<PartitionEnd>* ends);
  void TakeRetired();
  void Discover();
  // From one discovery to the next; `ends_interval` if the source expects partitions to appear.
  absl::Duration DiscoveryInterval(absl::Duration ends_interval) const;
  absl::Status DescribeFound(const std::vector<PartitionName>& names,
                             std::vector<NewPartition>* found);
  void PublishWaiting();
  void NoteTrouble(const absl::Status& status);
  void NoteGone(const absl::Status& status);

  const std::unique_ptr<SourceEnumerator> enumerator_;
  const SourceWatcherOptions options_;

  // The members below belong to the thread.
  std::vector<PartitionName> partitions_;  // not retired
  std::unordered_map<PartitionName, KnownPartition> known_;
  std::map<PartitionName, int> missing_;  // how often in a row each partition was missing
  bool saw_change_ = false;               // a partition was closed or gone: discovery is due
  absl::Time next_identities_ = absl::InfinitePast();
  absl::Status trouble_;
  absl::Status published_;  // how the last attempt to publish offsets ended
  int gone_reports_ = 0;

  absl::Mutex mutex_;
  MonotonicCondVar wake_;
  std::map<PartitionName, Offset> read_ ABSL_GUARDED_BY(mutex_);  // next offsets to read
  std::map<PartitionName, Offset> to_publish_ ABSL_GUARDED_BY(mutex_);
  std::vector<PartitionName> to_retire_ ABSL_GUARDED_BY(mutex_);
  absl::Duration ends_interval_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_JOBS_SOURCE_WATCHER_H_
