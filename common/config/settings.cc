#include "common/config/settings.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/units.h"
#include "common/types/time_zone.h"

namespace millrace {
namespace {

constexpr uint32_t kMostParallelism = 4096;
constexpr uint32_t kMostKeyGroups = 65536;

// One setting: how it is parsed, written and explained. The default is that of a new JobSettings.
struct Setting {
  std::string_view name;
  std::string_view allowed;  // in messages, behind "expected"
  std::string_view help;
  // Returns whether `value` was an allowed one.
  bool (*parse)(std::string_view value, JobSettings* settings);
  std::string (*format)(const JobSettings& settings);
};

// A whole number in [least, most], nothing else in the text.
template <typename T>
bool ParseWhole(std::string_view text, T least, T most, T* out) {
  T value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
    return false;
  }
  *out = value;
  return true;
}

template <absl::Duration JobSettings::* kMember>
bool ParseDurationInto(std::string_view value, JobSettings* settings) {
  absl::StatusOr<absl::Duration> duration = ParseDuration(value);
  if (!duration.ok()) {
    return false;
  }
  settings->*kMember = *duration;
  return true;
}

template <absl::Duration JobSettings::* kMember>
std::string FormatDuration(const JobSettings& settings) {
  return DurationToString(settings.*kMember);
}

bool ParseTimeZone(std::string_view value, JobSettings* settings) {
  const absl::StatusOr<TimeZone> zone = TimeZone::FindSetting(value);
  if (zone.ok()) {
    settings->timezone = zone->name();
  }
  return zone.ok();
}

template <std::string JobSettings::* kMember>
bool TakeText(std::string_view value, JobSettings* settings) {
  settings->*kMember = std::string(value);
  return true;
}

template <std::string JobSettings::* kMember>
std::string FormatText(const JobSettings& settings) {
  return settings.*kMember;
}

constexpr std::string_view kDurationForm = "a duration such as '2 s' or '10 ms'";

const std::vector<Setting>& Settings() {
  static const auto& all = *new std::vector<Setting>{
      {"job_name", "a name", "name of the job in lists and metrics; made up when empty",
       TakeText<&JobSettings::job_name>, FormatText<&JobSettings::job_name>},
      {"batch_duration", kDurationForm,
       "time between micro-batches; 0 = as fast as the pipeline goes",
       ParseDurationInto<&JobSettings::batch_duration>,
       FormatDuration<&JobSettings::batch_duration>},
      {"commit_interval", kDurationForm,
       "least time from one commit to the next; batches that are ready meanwhile are committed "
       "together",
       ParseDurationInto<&JobSettings::commit_interval>,
       FormatDuration<&JobSettings::commit_interval>},
      {"parallelism", "a whole number from 0 to 4096",
       "keyed shards, the unit of work behind an exchange; 0 = 4 for each slot, at least 4 and at "
       "most 64",
       [](std::string_view value, JobSettings* settings) {
         return ParseWhole<uint32_t>(value, 0, kMostParallelism, &settings->parallelism);
       },
       [](const JobSettings& settings) { return absl::StrCat(settings.parallelism); }},
      {"checkpoint_interval", kDurationForm, "time between snapshots of the state",
       ParseDurationInto<&JobSettings::checkpoint_interval>,
       FormatDuration<&JobSettings::checkpoint_interval>},
      {"checkpoint_location", "a directory",
       "directory of journal and snapshots; none are kept when empty",
       TakeText<&JobSettings::checkpoint_location>, FormatText<&JobSettings::checkpoint_location>},
      {"max_rate_per_partition", "a whole number of records per second, 0 or more",
       "records per second that are read from a partition at most; 0 = no limit",
       [](std::string_view value, JobSettings* settings) {
         return ParseWhole<int64_t>(value, 0, std::numeric_limits<int64_t>::max(),
                                    &settings->max_rate_per_partition);
       },
       [](const JobSettings& settings) { return absl::StrCat(settings.max_rate_per_partition); }},
      {"target_batch_time", kDurationForm,
       "how long a batch may take, which bounds how much is read; 0 = batch_duration, or 1 s when "
       "that is 0",
       ParseDurationInto<&JobSettings::target_batch_time>,
       FormatDuration<&JobSettings::target_batch_time>},
      {"key_groups", "a whole number from 1 to 65536",
       "hash buckets of keys; bounds parallelism and is fixed for the life of the state",
       [](std::string_view value, JobSettings* settings) {
         return ParseWhole<uint32_t>(value, 1, kMostKeyGroups, &settings->key_groups);
       },
       [](const JobSettings& settings) { return absl::StrCat(settings.key_groups); }},
      {"isolation_level", "read_committed or read_uncommitted",
       "whether records of open and aborted Kafka transactions are read",
       [](std::string_view value, JobSettings* settings) {
         settings->isolation_level = std::string(value);
         return value == "read_committed" || value == "read_uncommitted";
       },
       FormatText<&JobSettings::isolation_level>},
      {"state_backend", "memory or rocksdb",
       "where keyed state is held; rocksdb: on the executors' disks, with a cache in memory",
       [](std::string_view value, JobSettings* settings) {
         settings->state_backend = std::string(value);
         return value == "memory" || value == "rocksdb";
       },
       FormatText<&JobSettings::state_backend>},
      {"state_ttl", kDurationForm,
       "state of keys that saw no rows for so long is dropped; 0 = never",
       ParseDurationInto<&JobSettings::state_ttl>, FormatDuration<&JobSettings::state_ttl>},
      {"max_clock_step", kDurationForm,
       "batch times do not follow a step of the driver's clock of more than this; 0 = any",
       ParseDurationInto<&JobSettings::max_clock_step>,
       FormatDuration<&JobSettings::max_clock_step>},
      {"timezone", "a time zone such as 'Europe/Berlin' or 'UTC'",
       "time zone of the script: of times whose text names none, of days and hours of a "
       "timestamptz",
       ParseTimeZone, [](const JobSettings& settings) { return settings.timezone; }},
  };
  return all;
}

// Settings of event time. Plans of versions up to 0.1 have them, but there are no watermarks yet
// that would use them.
constexpr std::string_view kOfEventTime[] = {"idle_timeout", "max_future", "max_drift"};

bool IsOfEventTime(std::string_view name) {
  return std::find(std::begin(kOfEventTime), std::end(kOfEventTime), name) !=
         std::end(kOfEventTime);
}

std::string AllNames() {
  std::string names;
  for (const Setting& setting : Settings()) {
    absl::StrAppend(&names, names.empty() ? "" : ", ", ToAbsl(setting.name));
  }
  return names;
}

}  // namespace

absl::Status JobSettings::Set(std::string_view name, std::string_view value) {
  for (const Setting& setting : Settings()) {
    if (setting.name != name) {
      continue;
    }
    JobSettings changed = *this;
    if (!setting.parse(value, &changed)) {
      return absl::InvalidArgumentError(absl::StrCat("setting ", ToAbsl(name), ": '", ToAbsl(value),
                                                     "' is not allowed; expected ",
                                                     ToAbsl(setting.allowed)));
    }
    *this = std::move(changed);
    return absl::OkStatus();
  }
  if (IsOfEventTime(name)) {
    return absl::UnimplementedError(
        absl::StrCat("setting ", ToAbsl(name), ": this version has no event time, so the setting ",
                     "would change nothing; leave it out"));
  }
  return absl::NotFoundError(
      absl::StrCat("there is no setting \"", ToAbsl(name), "\"; the settings are ", AllNames()));
}

std::map<std::string, std::string> JobSettings::ToMap() const {
  std::map<std::string, std::string> map;
  for (const Setting& setting : Settings()) {
    map.emplace(std::string(setting.name), setting.format(*this));
  }
  return map;
}

absl::StatusOr<JobSettings> JobSettings::FromMap(const std::map<std::string, std::string>& map) {
  JobSettings settings;
  for (const auto& [name, value] : map) {
    if (!IsOfEventTime(name)) {
      RETURN_IF_ERROR(settings.Set(name, value));
    }
  }
  return settings;
}

absl::Duration JobSettings::EffectiveTargetBatchTime() const {
  if (target_batch_time > absl::ZeroDuration()) {
    return target_batch_time;
  }
  return batch_duration > absl::ZeroDuration() ? batch_duration : absl::Seconds(1);
}

std::vector<SettingDescription> DescribeSettings() {
  std::vector<SettingDescription> descriptions;
  const JobSettings defaults;
  for (const Setting& setting : Settings()) {
    descriptions.push_back(
        {std::string(setting.name), setting.format(defaults), std::string(setting.help)});
  }
  return descriptions;
}

}  // namespace millrace
