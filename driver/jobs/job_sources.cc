// A job and its sources: what their watchers tell it, and what it tells them.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <utility>

#include "common/base/failpoint.h"
#include "common/base/status.h"
#include "driver/jobs/job.h"

namespace millrace::driver {
namespace {

// How often the source is asked for its ends while executors do not report them: twice per batch,
// so that every tick finds the records that came since the tick before.
absl::Duration EndsInterval(const JobSettings& settings) {
  return std::clamp(settings.batch_duration / 2, absl::Milliseconds(100), absl::Seconds(1));
}
// How often while executors report the ends; then only the lag needs the answer.
constexpr absl::Duration kLagInterval = absl::Seconds(1);

}  // namespace

absl::Status Job::OpenSources(std::vector<std::unique_ptr<SourceEnumerator>> enumerators) {
  const proto::JobPlan& plan = history().plan();
  const SourceContext source_context{.job_name = name(),
                                     .incarnation = history().submitted().incarnation(),
                                     .read_uncommitted = settings_.ReadsUncommitted()};
  for (int i = 0; i < plan.sources_size(); ++i) {
    const auto index = static_cast<size_t>(i);
    ASSIGN_OR_RETURN(const SourceConnector* connector,
                     context_->connectors->Source(plan.sources(i).connector()));
    std::unique_ptr<SourceEnumerator> enumerator;
    if (index < enumerators.size()) {
      enumerator = std::move(enumerators[index]);
    } else {
      ASSIGN_OR_RETURN(enumerator, connector->CreateEnumerator(plan.sources(i), source_context));
    }
    WatchSource(static_cast<uint32_t>(i), connector->Traits(plan.sources(i)),
                std::move(enumerator));
  }
  return absl::OkStatus();
}

void Job::WatchSource(uint32_t source, const SourceTraits& traits,
                      std::unique_ptr<SourceEnumerator> enumerator) {
  std::vector<KnownPartition> partitions;
  for (size_t i = 0; i < history().partitions().size(); ++i) {
    const JobPartition& partition = history().partitions()[i];
    if (partition.source == source) {
      partitions.push_back({partition.name, Offset(history().planned_to()[i]), partition.topic_id,
                            partition.retired});
    }
  }
  SourceWatcherOptions options = WatcherOptions(source);
  options.traits = traits;
  watchers_.push_back(
      std::make_unique<SourceWatcher>(std::move(enumerator), partitions, std::move(options)));
}

SourceWatcherOptions Job::WatcherOptions(uint32_t source) {
  SourceWatcherOptions options;
  options.table = history().plan().sources(static_cast<int>(source)).table();
  options.ends_interval = EndsInterval(settings_);
  if (history().submitted().once() || history().submitted().stop_at_size() > 0) {
    options.discovery_interval = absl::InfiniteDuration();
  }
  // The watcher's thread calls this and ends before this object does, but the work that it posts
  // may run later.
  const auto post = [context = context_, weak = weak_from_this()](std::function<void(Job&)> work) {
    context->loop->Post([weak, work = std::move(work)] {
      if (const std::shared_ptr<Job> self = weak.lock()) {
        work(*self);
      }
    });
  };
  options.on_ends = [post, source](const std::vector<PartitionEnd>& ends) {
    EndsKnown event{.source = source};
    for (const PartitionEnd& end : ends) {
      event.ends.push_back({.partition = end.partition,
                            .stable_end = end.stable_end.value(),
                            .high_watermark = end.end.value(),
                            .bytes_per_offset = end.bytes_per_offset,
                            .closed = end.phase != PartitionPhase::kOpen,
                            .gone = end.phase == PartitionPhase::kGone,
                            .why = end.why,
                            .identity = end.identity});
    }
    post([event = std::move(event)](Job& self) {
      self.Handle(event);
      if (self.metrics_ != nullptr) {
        const proto::LagResponse lag = self.Lag();
        for (const proto::LagResponse::Partition& partition : lag.partitions()) {
          if (partition.retired().empty()) {
            self.metrics_->SetLag(partition.table(), partition.partition(), partition.lag());
          }
        }
      }
    });
  };
  options.on_found = [post, source](const std::vector<NewPartition>& found) {
    PartitionsDiscovered event{.source = source};
    for (const NewPartition& one : found) {
      event.found.push_back({one.name, one.earliest.value(), one.identity});
    }
    post([event = std::move(event)](Job& self) { self.Handle(event); });
  };
  options.on_lost = [post](const absl::Status& cause) {
    post([cause](Job& self) { self.Handle(JobBroken{cause}); });
  };
  options.on_trouble = [post, source](const absl::Status& trouble) {
    post([source, trouble](Job& self) { self.source_troubles_[source] = trouble; });
  };
  return options;
}

// While executors report the ends sooner than the source would, the source is asked only to show
// the lag.
void Job::ChooseEndsIntervals() {
  for (uint32_t source = 0; source < watchers_.size(); ++source) {
    watchers_[source]->set_ends_interval(state_->ProgressLeads(source) ? kLagInterval
                                                                       : EndsInterval(settings_));
  }
}

void Job::Do(PartitionsRetired& action) {
  std::map<uint32_t, std::vector<PartitionName>> by_source;
  for (const PartitionsRetired::Retired& one : action.partitions) {
    const std::string& table = history().plan().sources(static_cast<int>(one.source)).table();
    if (one.lost_end > one.lost_begin) {
      spdlog::warn(
          "job {}: source table \"{}\": partition {} is retired: {}; offsets [{}, {}) are lost",
          name(), table, one.partition, one.why, one.lost_begin, one.lost_end);
      lost_ += one.lost_end - one.lost_begin;
    } else {
      spdlog::info("job {}: source table \"{}\": partition {} is retired: {}", name(), table,
                   one.partition, one.why);
    }
    metrics_->OnRetired(table, one.partition, one.lost_end - one.lost_begin);
    by_source[one.source].push_back(one.partition);
  }
  for (const auto& [source, names] : by_source) {
    if (source < watchers_.size()) {
      watchers_[source]->Retire(names);
    }
  }
}

void Job::PublishOffsets(const BatchDone& done) {
  if (history().submitted().replay()) {
    return;
  }
  std::map<uint32_t, std::vector<PartitionOffset>> by_source;
  for (const proto::SplitReport& split : done.splits) {
    by_source[split.key().source()].push_back({split.key().partition(), Offset(split.end())});
  }
  for (const auto& [source, offsets] : by_source) {
    if (source < watchers_.size()) {
      MILLRACE_FAILPOINT("driver.before_publish");
      watchers_[source]->Publish(offsets);
    }
  }
}

}  // namespace millrace::driver
