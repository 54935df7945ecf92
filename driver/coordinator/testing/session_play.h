// A job whose tables share sessions, played by the test: what it is made of, and how tests read
// what it says. For tests.
#ifndef MILLRACE_DRIVER_COORDINATOR_TESTING_SESSION_PLAY_H_
#define MILLRACE_DRIVER_COORDINATOR_TESTING_SESSION_PLAY_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "driver/coordinator/testing/job_play.h"

namespace millrace::driver {

using Words = std::vector<std::string>;

// Table counts (0) is keyed, the shards of lines (1) are partitions; both share sessions. Table log
// (2) is also keyed, and has a session for each shard.
inline proto::JobSubmitted WithTables(int partitions, bool running_state = false) {
  proto::JobSubmitted submitted = Submitted(partitions, running_state);
  for (const auto& [table, keyed] :
       {std::pair("counts", true), std::pair("lines", false), std::pair("log", true)}) {
    proto::Sink* sink = submitted.mutable_plan()->add_sinks();
    sink->set_table(table);
    sink->set_keyed(keyed);
  }
  return submitted;
}

inline JobStateOptions Shared() {
  JobStateOptions options;
  options.session_groups = {{0, 1}};
  return options;
}

inline Play Begin(int partitions = 2, bool running_state = false) {
  return Play(WithTables(partitions, running_state), Play::Settings(0), Shared());
}

// Another driver reads what `before` has journaled.
inline Play GoOn(const proto::JobSubmitted& submitted, const Play& before,
                 JobStateOptions options = Shared()) {
  JobHistory history(submitted);
  for (const proto::JournalRecord& record : before.journal) {
    const absl::Status applied = history.Apply(record);
    EXPECT_TRUE(applied.ok()) << applied;
  }
  Play play(std::move(history), Play::Settings(0), std::move(options));
  play.places = before.places;
  play.now_us = before.now_us;
  return play;
}

// The members are lost, and a new epoch begins with these.
inline void Replace(const std::vector<std::string>& members, Play* play) {
  play->Members({});
  play->At(play->now_us + JobStateOptions().max_backoff_us);
  play->Members(members);
}

inline void AllReady(const std::vector<std::string>& members, Play* play) {
  for (const std::string& member : members) {
    play->Ready(member);
  }
}

// "0/1: 3:7": group 0, slot 1, and the marker that goes with it.
inline Words PlacesOf(const proto::StartEpoch& start) {
  Words words;
  for (const proto::SessionMark& place : start.sessions()) {
    words.push_back(absl::StrCat(place.group(), "/", place.slot(),
                                 place.marker().empty() ? "" : ": ", place.marker()));
  }
  return words;
}

inline Words FormerOf(const proto::StartEpoch& start) {
  Words words;
  for (const proto::SinkMarker& former : start.former_shards()) {
    words.push_back(absl::StrCat(former.sink(), "/", former.shard(),
                                 former.marker().empty() ? "" : ": ", former.marker()));
  }
  return words;
}

// "0/2 by e1": sink 0, shard 2, by the terms of epoch 1; of the last RunBatch of this batch to this
// executor.
inline Words VisibleTo(const std::string& executor, int64_t batch, const Play& play) {
  Words words;
  for (size_t i = 0; i < play.runs.size(); ++i) {
    if (play.runs[i].batch() != batch || play.receiver_of[i] != executor) {
      continue;
    }
    words.clear();
    for (const proto::VisibleShards& visible : play.runs[i].visible()) {
      for (const uint32_t shard : visible.shards()) {
        words.push_back(absl::StrCat(visible.sink(), "/", shard, " by ", visible.terms()));
      }
    }
  }
  return words;
}

template <typename Has>
std::vector<proto::JournalRecord> Journaled(const Play& play, Has has) {
  std::vector<proto::JournalRecord> records;
  std::copy_if(play.journal.begin(), play.journal.end(), std::back_inserter(records), has);
  return records;
}

inline std::vector<proto::JournalRecord> Openings(const Play& play) {
  return Journaled(play, [](const auto& record) { return record.has_epoch_opened(); });
}

inline std::vector<proto::JournalRecord> Withdrawals(const Play& play) {
  return Journaled(play, [](const auto& record) { return record.has_batches_abandoned(); });
}

// Executor a has written batch 1, and is lost together with b, which has not.
inline Play WithBatchInDoubt(int partitions = 2) {
  Play play = Begin(partitions);
  play.Members({"a", "b"});
  AllReady({"a", "b"}, &play);
  play.Ends(110, partitions);
  play.Prepared("a", 1);
  play.Prepared("b", 1);
  play.Write(0, 0, 1, 1);
  return play;
}

}  // namespace millrace::driver

#endif  // MILLRACE_DRIVER_COORDINATOR_TESTING_SESSION_PLAY_H_
