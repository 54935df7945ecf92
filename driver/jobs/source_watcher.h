// The eyes of a job on one source table: a thread that asks the source's enumerator for ends and
// new partitions and tells the outside world how far the job has committed. A thread of its own
// because every one of these calls may take seconds when the broker is away.
#ifndef MILLRACE_DRIVER_JOBS_SOURCE_WATCHER_H_
#define MILLRACE_DRIVER_JOBS_SOURCE_WATCHER_H_

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "connectors/source.h"

namespace millrace {

struct SourceWatcherOptions {
  std::string table;  // for messages
  absl::Duration ends_interval = absl::Seconds(1);
  absl::Duration discovery_interval = absl::Seconds(5);  // infinite: never
  absl::Duration publish_interval = absl::Milliseconds(200);
  absl::Duration call_timeout = absl::Seconds(5);

  // From the watcher's thread.
  std::function<void(const std::vector<PartitionEnd>& ends)> on_ends;
  std::function<void(const std::vector<PartitionOffset>& earliest)>
      on_found;                                            // partitions that were not known
  std::function<void(const absl::Status& cause)> on_lost;  // the source is gone for good
  std::function<void(const absl::Status& trouble)>
      on_trouble;  // changes: what is wrong, or OK again
};

// Thread-safe.
class SourceWatcher {
 public:
  SourceWatcher(std::unique_ptr<SourceEnumerator> enumerator, std::vector<PartitionName> partitions,
                SourceWatcherOptions options);
  // As Stop.
  ~SourceWatcher();

  void set_ends_interval(absl::Duration interval);

  // Publishes these next offsets soon; later ones overtake those that wait.
  void Publish(const std::vector<PartitionOffset>& committed);

  // Publishes what waits, then ends the thread. May take two call timeouts. Idempotent.
  void Stop();

 private:
  void Run();
  void AskEnds();
  void Discover();
  void PublishWaiting();
  void NoteTrouble(const absl::Status& status);
  void NoteGone(const absl::Status& status);

  const std::unique_ptr<SourceEnumerator> enumerator_;
  const SourceWatcherOptions options_;

  // Of the thread.
  std::vector<PartitionName> partitions_;
  absl::Status trouble_;
  int gone_reports_ = 0;

  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<PartitionName, Offset> to_publish_;
  absl::Duration ends_interval_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace millrace

#endif  // MILLRACE_DRIVER_JOBS_SOURCE_WATCHER_H_
