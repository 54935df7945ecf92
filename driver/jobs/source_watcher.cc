#include "driver/jobs/source_watcher.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"

namespace millrace::driver {
namespace {

// A topic is believed to be deleted when it is missing so often in a row: a broker that has just
// started may not know all topics yet.
constexpr int kGoneReports = 3;
constexpr absl::Duration kGoneRetry = absl::Milliseconds(300);
constexpr int kPauseFactor = 30;

}  // namespace

SourceWatcher::SourceWatcher(std::unique_ptr<SourceEnumerator> enumerator,
                             const std::vector<KnownPartition>& partitions,
                             SourceWatcherOptions options)
    : enumerator_(std::move(enumerator)),
      options_(std::move(options)),
      ends_interval_(options_.ends_interval) {
  enumerator_->Remember(partitions);
  for (const KnownPartition& partition : partitions) {
    known_[partition.name] = partition;
    if (!partition.retired) {
      partitions_.push_back(partition.name);
      read_.insert({partition.name, partition.next});
    }
  }
  thread_ = std::thread([this] { Run(); });
}

SourceWatcher::~SourceWatcher() { Stop(); }

void SourceWatcher::set_ends_interval(absl::Duration interval) {
  {
    absl::MutexLock lock(&mutex_);
    if (ends_interval_ == interval) {
      return;
    }
    ends_interval_ = interval;
  }
  wake_.Signal();
}

void SourceWatcher::Publish(const std::vector<PartitionOffset>& committed) {
  // The thread takes the list at its next round; there is no hurry.
  absl::MutexLock lock(&mutex_);
  const bool first = to_publish_.empty();
  for (const PartitionOffset& offset : committed) {
    to_publish_.insert_or_assign(offset.partition, offset.offset);
    read_.insert_or_assign(offset.partition, offset.offset);
  }
  if (first) {
    wake_.Signal();
  }
}

void SourceWatcher::Retire(const std::vector<PartitionName>& partitions) {
  {
    absl::MutexLock lock(&mutex_);
    to_retire_.insert(to_retire_.end(), partitions.begin(), partitions.end());
  }
  wake_.Signal();
}

void SourceWatcher::RequestStop() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  wake_.Signal();
}

bool SourceWatcher::IsStopping() {
  absl::MutexLock lock(&mutex_);
  return stopping_;
}

void SourceWatcher::Stop() {
  RequestStop();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void SourceWatcher::Run() {
  WatchUntilStopped();
  if (trouble_.ok() && published_.ok()) {
    PublishWaiting();
  }
}

void SourceWatcher::WatchUntilStopped() {
  absl::Time next_ends = SteadyNow();
  absl::Time next_publish = SteadyNow();
  absl::MutexLock lock(&mutex_);
  absl::Time next_discovery = SteadyNow() + DiscoveryInterval(ends_interval_);
  while (!stopping_) {
    const absl::Time now = SteadyNow();
    const bool publish = !to_publish_.empty() && now >= next_publish;
    const auto ends_interval = [this, usual = ends_interval_] {
      return gone_reports_ > 0 || !missing_.empty() ? kGoneRetry : usual;
    };
    // The interval may have been shortened since.
    next_ends = std::min(next_ends, now + ends_interval());
    if (publish || !to_retire_.empty() || now >= next_ends || now >= next_discovery) {
      mutex_.Unlock();
      TakeRetired();
      if (publish) {
        PublishWaiting();
        next_publish = SteadyNow() + options_.publish_interval;
      }
      // Each of these calls may wait for a source that does not answer; no other one is begun once
      // the job is told to stop.
      if (now >= next_ends && !IsStopping()) {
        AskEnds();
        next_ends = SteadyNow() + ends_interval();
        // A file that was rotated or deleted may have a successor, which must not wait for the next
        // discovery.
        if (std::exchange(saw_change_, false)) {
          next_discovery = std::min(next_discovery, SteadyNow());
        }
      }
      if (now >= next_discovery && !IsStopping()) {
        Discover();
        next_discovery = SteadyNow() + DiscoveryInterval(ends_interval());
      }
      mutex_.Lock();
      continue;
    }
    absl::Time wakeup = std::min(next_ends, next_discovery);
    if (!to_publish_.empty()) {
      wakeup = std::min(wakeup, next_publish);
    }
    wake_.WaitUntil(&mutex_, wakeup);
  }
}

absl::Duration SourceWatcher::DiscoveryInterval(absl::Duration ends_interval) const {
  // An infinite interval stays infinite: the job reads only what there was when it began.
  return enumerator_->expects_partitions() && options_.discovery_interval < absl::InfiniteDuration()
             ? std::min(ends_interval, options_.discovery_interval)
             : options_.discovery_interval;
}

void SourceWatcher::AskEnds() {
  if (partitions_.empty()) {
    return;
  }
  std::map<PartitionName, Offset> read;
  {
    // Copied before asking: while the source answers, more may be read, and that must not be
    // compared with an older answer.
    absl::MutexLock lock(&mutex_);
    read = read_;
  }
  absl::StatusOr<std::vector<PartitionEnd>> ends =
      enumerator_->Ends(partitions_, options_.call_timeout);
  absl::Status gone = ends.ok() ? FindCut(*ends, read) : ends.status();
  if (!ends.ok() && !absl::IsNotFound(gone) && !absl::IsOutOfRange(gone)) {
    NoteTrouble(gone);
    return;
  }
  for (size_t i = 0; ends.ok() && i < ends->size(); ++i) {
    saw_change_ |= options_.discovery_interval < absl::InfiniteDuration() &&
                   (!(*ends)[i].identity.empty() || (*ends)[i].phase == PartitionPhase::kGone);
    if (!(*ends)[i].identity.empty()) {
      known_[(*ends)[i].partition].identity = (*ends)[i].identity;
    }
  }
  if (ends.ok() && (!gone.ok() || gone_reports_ > 0 || SteadyNow() >= next_identities_)) {
    const absl::Status recreated = FindRecreated(&*ends);
    // A partition whose topic was made anew is now a gone one, and not one that was cut off.
    gone = recreated.ok() ? FindCut(*ends, read) : recreated;
  }
  if (!gone.ok()) {
    NoteGone(gone);
    return;
  }
  gone_reports_ = 0;
  DropUnconfirmedGone(&*ends);
  options_.on_ends(*ends);
  NoteTrouble(absl::OkStatus());
}

void SourceWatcher::DropUnconfirmedGone(std::vector<PartitionEnd>* ends) {
  std::map<PartitionName, int> missing;
  std::erase_if(*ends, [&](const PartitionEnd& end) {
    if (end.phase != PartitionPhase::kGone) {
      return false;
    }
    const int times = missing_[end.partition] + 1;
    if (times < kGoneReports) {
      missing[end.partition] = times;
      return true;
    }
    // The partition is reported as gone each time until the job retires it.
    missing[end.partition] = kGoneReports;
    return false;
  });
  missing_ = std::move(missing);
}

void SourceWatcher::TakeRetired() {
  std::vector<PartitionName> names;
  {
    absl::MutexLock lock(&mutex_);
    names.swap(to_retire_);
    for (const PartitionName& name : names) {
      const auto read = read_.find(name);
      if (read != read_.end()) {
        known_[name].next = read->second;
        read_.erase(read);
      }
    }
  }
  std::vector<KnownPartition> retired;
  for (const PartitionName& name : names) {
    known_[name].name = name;
    known_[name].retired = true;
    missing_.erase(name);
    retired.push_back(known_[name]);
  }
  std::erase_if(partitions_, [this](const PartitionName& name) { return known_[name].retired; });
  enumerator_->Remember(retired);
}

absl::Status SourceWatcher::FindCut(const std::vector<PartitionEnd>& ends,
                                    const std::map<PartitionName, Offset>& read) const {
  if (!options_.traits.keeps_records) {
    return absl::OkStatus();
  }
  for (const PartitionEnd& end : ends) {
    const auto found = read.find(end.partition);
    if (end.phase != PartitionPhase::kGone && found != read.end() && end.end < found->second) {
      return absl::OutOfRangeError(absl::StrCat(
          "partition ", end.partition, " has been read up to offset ", found->second.value(),
          ", but now ends at ", end.end.value(), ": offsets [", end.end.value(), ", ",
          found->second.value(),
          ") were cut off, and new records will take their place; cancel the job, or submit it "
          "under another name"));
    }
  }
  return absl::OkStatus();
}

absl::Status SourceWatcher::FindRecreated(std::vector<PartitionEnd>* ends) {
  const absl::StatusOr<std::vector<std::string>> ids =
      enumerator_->Identities(partitions_, options_.call_timeout);
  // An error here is not reported: Ends decides whether the source exists. If only the identities
  // cannot be had, they are asked for less often, so that they do not delay the ends each time.
  next_identities_ = SteadyNow() + (ids.ok() ? 1 : kPauseFactor) * options_.identities_interval;
  if (!ids.ok()) {
    return absl::OkStatus();
  }
  for (size_t i = 0; i < partitions_.size(); ++i) {
    std::string& known = known_[partitions_[i]].identity;
    if (known.empty()) {
      known = (*ids)[i];
    }
    const absl::Status same = CheckIdentity(partitions_[i], known, (*ids)[i]);
    if (!same.ok() && !options_.traits.may_lose_partitions) {
      return same;
    }
    if (!same.ok()) {
      (*ends)[i].phase = PartitionPhase::kGone;
      (*ends)[i].stable_end = Offset(0);  // the ends that were told are of another topic
      (*ends)[i].end = Offset(0);
      (*ends)[i].why = "its topic was deleted and created again";
    }
  }
  return absl::OkStatus();
}

void SourceWatcher::Discover() {
  const absl::StatusOr<std::vector<PartitionName>> all =
      enumerator_->Discover(options_.call_timeout);
  if (!all.ok()) {
    // A topic that is gone also shows in Ends, and Ends decides.
    if (!absl::IsNotFound(all.status())) {
      NoteTrouble(all.status());
    }
    return;
  }
  std::vector<PartitionName> names;
  for (const PartitionName& name : *all) {
    const auto known = known_.find(name);
    if (known == known_.end() || known->second.retired) {
      names.push_back(name);
    }
  }
  if (names.empty()) {
    return;
  }
  std::vector<NewPartition> found;
  if (const absl::Status described = DescribeFound(names, &found); !described.ok()) {
    NoteTrouble(described);
    return;
  }
  spdlog::info("source table \"{}\": {} new partitions, the first is {}", options_.table,
               found.size(), found.front().name);
  std::vector<KnownPartition> known;
  for (const NewPartition& one : found) {
    partitions_.push_back(one.name);
    known.push_back({.name = one.name, .next = one.earliest, .identity = one.identity});
    known_[one.name] = known.back();
  }
  enumerator_->Remember(known);
  options_.on_found(found);
  AskEnds();
}

absl::Status SourceWatcher::DescribeFound(const std::vector<PartitionName>& names,
                                          std::vector<NewPartition>* found) {
  // The identities are asked for before the offsets: if a partition is made anew in between, its
  // older identity shows that later.
  ASSIGN_OR_RETURN(const std::vector<std::string> ids,
                   enumerator_->Identities(names, options_.call_timeout));
  ASSIGN_OR_RETURN(const std::vector<PartitionOffset> earliest,
                   enumerator_->ResolveEarliest(names, options_.call_timeout));
  for (size_t i = 0; i < names.size(); ++i) {
    const auto known = known_.find(names[i]);
    found->push_back(
        {names[i], known == known_.end() ? earliest[i].offset : known->second.next, ids[i]});
  }
  return absl::OkStatus();
}

void SourceWatcher::PublishWaiting() {
  std::vector<PartitionOffset> offsets;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [partition, offset] : to_publish_) {
      offsets.push_back({partition, offset});
    }
    to_publish_.clear();
  }
  if (offsets.empty()) {
    return;
  }
  published_ = enumerator_->PublishOffsets(offsets, options_.call_timeout);
  if (!published_.ok()) {
    // The job may have no further batch for long, so these offsets wait for another try; newer ones
    // replace them.
    {
      absl::MutexLock lock(&mutex_);
      for (const PartitionOffset& offset : offsets) {
        to_publish_.insert({offset.partition, offset.offset});
      }
    }
    spdlog::warn("source table \"{}\": committed offsets were not published: {}", options_.table,
                 ToStd(published_.message()));
  }
}

void SourceWatcher::NoteTrouble(const absl::Status& status) {
  if (status.code() == trouble_.code()) {
    return;
  }
  trouble_ = status;
  if (!status.ok()) {
    spdlog::warn("source table \"{}\": {}", options_.table, ToStd(status.message()));
  }
  options_.on_trouble(status);
}

void SourceWatcher::NoteGone(const absl::Status& status) {
  if (++gone_reports_ == kGoneReports) {
    options_.on_lost(absl::Status(
        status.code(),
        absl::StrCat("source table \"", options_.table, "\": ", ToAbsl(ToStd(status.message())))));
  }
}

}  // namespace millrace::driver
