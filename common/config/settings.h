// Job settings (SET name = value): one table of names, defaults, parsers and help. Values are
// validated when set; the plan carries their canonical text. Plain values, thread-compatible.
#ifndef MILLRACE_COMMON_CONFIG_SETTINGS_H_
#define MILLRACE_COMMON_CONFIG_SETTINGS_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace millrace {

struct JobSettings {
  std::string job_name;                                   // empty: made up at submission
  absl::Duration batch_duration = absl::Seconds(2);       // 0 = as fast as the pipeline goes
  absl::Duration commit_interval = absl::ZeroDuration();  // at least, from commit to commit
  uint32_t parallelism = 0;  // keyed shards; 0 = 4 per slot known at submission, in [4, 64]
  absl::Duration checkpoint_interval = absl::Seconds(10);
  std::string checkpoint_location;     // directory of journal and snapshots; empty = none kept
  int64_t max_rate_per_partition = 0;  // records/s; 0 = no limit
  // 0 = batch_duration, or 1 s when that is 0.
  absl::Duration target_batch_time = absl::ZeroDuration();
  uint32_t key_groups = 4096;
  std::string isolation_level = "read_committed";   // or read_uncommitted
  std::string state_backend = "memory";             // or rocksdb
  absl::Duration state_ttl = absl::ZeroDuration();  // 0 = none
  absl::Duration max_clock_step = absl::Hours(12);  // of batch times; 0 = any
  std::string timezone = "UTC";                     // as the time zone data write it

  // Sets one setting from text. NOT_FOUND lists the names; INVALID_ARGUMENT says the allowed
  // values.
  absl::Status Set(std::string_view name, std::string_view value);

  // All settings as canonical text, and the way back. Unknown names are an error, so that a newer
  // plan is refused; names that earlier versions' plans have and no version ever used are ignored.
  std::map<std::string, std::string> ToMap() const;
  static absl::StatusOr<JobSettings> FromMap(const std::map<std::string, std::string>& map);

  absl::Duration EffectiveTargetBatchTime() const;
  bool ReadsUncommitted() const { return isolation_level == "read_uncommitted"; }
};

// For --help and messages: every setting with its default and meaning, in the order above.
struct SettingDescription {
  std::string name;
  std::string default_value;
  std::string help;
};
std::vector<SettingDescription> DescribeSettings();

}  // namespace millrace

#endif  // MILLRACE_COMMON_CONFIG_SETTINGS_H_
