// Which sinks share sessions, and which slots an executor claims for them. This executor is member
// 1 of 2; sinks 0 to 3 take rows, sink 4 the failed records of the source.
#include "executor/epoch/epoch_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <initializer_list>
#include <string>
#include <vector>

namespace millrace::executor {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

void AddGroup(std::initializer_list<uint32_t> sinks, proto::StartEpoch* start) {
  start->add_groups()->mutable_sinks()->Add(sinks.begin(), sinks.end());
}

void AddSlot(uint32_t group, uint32_t slot, proto::StartEpoch* start) {
  proto::SessionMark* claim = start->add_sessions();
  claim->set_group(group);
  claim->set_slot(slot);
  claim->set_marker("m" + std::to_string(group) + "." + std::to_string(slot));
}

// Sinks 0 and 2 share sessions; sink 4 has its own; sinks 1 and 3 have one for each shard.
proto::StartEpoch Start() {
  proto::StartEpoch start;
  start.set_job_id("job");
  start.set_epoch(2);
  for (int sink = 0; sink < 5; ++sink) {
    start.mutable_plan()->add_sinks();
  }
  proto::Source* source = start.mutable_plan()->add_sources();
  source->set_on_error(proto::ON_ERROR_TABLE);
  source->set_error_sink(4);
  for (const char* id : {"other", "self"}) {
    start.mutable_assignment()->add_members()->set_executor_id(id);
    start.add_stream_keys()->set_to("to");
    start.mutable_stream_keys()->rbegin()->set_from("from");
  }
  AddGroup({0, 2}, &start);
  AddGroup({4}, &start);
  AddSlot(0, 1, &start);
  AddSlot(4, 1, &start);
  return start;
}

TEST(EpochLayoutTest, EachGroupHasASlotOfThisMember) {
  proto::StartEpoch start = Start();
  AddSlot(0, 2, &start);  // of a member that an earlier epoch had
  AddSlot(3, 0, &start);  // of a group that an earlier plan had
  proto::SinkMarker* former = start.add_former_shards();
  former->set_sink(2);
  former->set_shard(7);
  former->set_marker("old");
  const auto layout = EpochLayout::Make(start, "self");
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_THAT(layout->groups, ElementsAre(Pair(0, ElementsAre(0, 2)), Pair(4, ElementsAre(4))));
  EXPECT_EQ(layout->group_of_sink[2], 0u);
  EXPECT_EQ(layout->group_of_sink[3], std::nullopt);
  EXPECT_THAT(layout->slots,
              ElementsAre(SlotPlace{0, 1}, SlotPlace{4, 1}, SlotPlace{0, 2}, SlotPlace{3, 0}));
  EXPECT_TRUE(layout->IsOwn({0, 1}));
  EXPECT_FALSE(layout->IsOwn({0, 2}));
  EXPECT_FALSE(layout->IsOwn({3, 0}));
  EXPECT_FALSE(layout->IsOwn({3, 1})) << "it has this member's number, but the group is gone";
  EXPECT_EQ(layout->markers.at(SlotPlace{0, 2}), "m0.2");
  EXPECT_THAT(layout->former_shards, ElementsAre(ShardPlace{2, 7}));
  EXPECT_EQ(layout->markers.at(ShardPlace{2, 7}), "old");
}

TEST(EpochLayoutTest, SessionsThatContradictEachOtherAreRefused) {
  struct Case {
    std::string why;
    std::function<void(proto::StartEpoch*)> change;
  };
  const std::vector<Case> cases = {
      {"a group has no sinks", [](auto* start) { start->add_groups(); }},
      {"group 5 has an unknown sink", [](auto* start) { AddGroup({5}, start); }},
      {"group 1 has sink 2, which is in a group already",
       [](auto* start) { AddGroup({1, 2}, start); }},
      {"group 1 has sink 1, which is in a group already",
       [](auto* start) { AddGroup({1, 1}, start); }},
      {"group 3 has its sinks in no order", [](auto* start) { AddGroup({3, 1}, start); }},
      {"group 0 mixes failed records with others",
       [](auto* start) {
         start->clear_groups();
         AddGroup({0, 4}, start);
       }},
      {"this member has no slot of group 1", [](auto* start) { AddGroup({1}, start); }},
      {"this member has no slot of group 0",
       [](auto* start) { start->mutable_sessions()->DeleteSubrange(0, 1); }},
      {"slot 1 of group 0 is claimed twice", [](auto* start) { AddSlot(0, 1, start); }},
      {"slot 7 of group 3 is claimed twice",
       [](auto* start) {
         AddSlot(3, 7, start);
         AddSlot(3, 7, start);
       }},
      {"slot 0 of group 4 is another member's", [](auto* start) { AddSlot(4, 0, start); }},
      {"slot 0 of group 5 is of an unknown sink", [](auto* start) { AddSlot(5, 0, start); }},
      {"former shard 0 is of sink 1, which is in no group",
       [](auto* start) { start->add_former_shards()->set_sink(1); }},
      {"former shard 0 is of sink 5, which is in no group",
       [](auto* start) { start->add_former_shards()->set_sink(5); }},
  };
  for (const Case& contradiction : cases) {
    proto::StartEpoch start = Start();
    contradiction.change(&start);
    const auto layout = EpochLayout::Make(start, "self");
    EXPECT_TRUE(absl::IsInvalidArgument(layout.status())) << contradiction.why;
    EXPECT_THAT(std::string(layout.status().message()), HasSubstr(contradiction.why));
  }
}

}  // namespace
}  // namespace millrace::executor
