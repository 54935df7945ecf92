// What a Write that waits for memory returns, by the reason why its wait ends.
#include "connectors/shared/flow_out.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "common/base/failure_kind.h"

namespace millrace {
namespace {

using ::testing::HasSubstr;

// What memory says when it is other jobs that hold it.
const absl::Status& NoRoom() {
  static const auto* const kNoRoom = new absl::Status(
      WithFailureKind(absl::UnavailableError("no room"), FailureKind::kEnvironment));
  return *kNoRoom;
}

TEST(FlowOutTest, ABatchThatIsFirstNeedNotWait) {
  const FlowOut flow_out({}, 1000);
  EXPECT_TRUE(flow_out.AwaitTurn(NoRoom(), [] { return true; }).ok());
}

// Run again as planned, the batch might wait in vain each time.
TEST(FlowOutTest, ABatchThatWaitsInVainIsTooLarge) {
  const FlowOut flow_out({}, 1000);
  const absl::Status status =
      flow_out.AwaitTurn(NoRoom(), [] { return false; }, absl::Milliseconds(1));
  EXPECT_EQ(FailureKindOf(status), FailureKind::kTooLarge) << status;
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("the batch before was not committed"));
}

TEST(FlowOutTest, TheEndOfTheEpochSaysNothingOfTheBatch) {
  SinkContext context;
  context.ended = [] { return true; };
  const FlowOut flow_out(context, 1000);
  EXPECT_EQ(flow_out.AwaitTurn(NoRoom(), [] { return false; }), NoRoom());
}

}  // namespace
}  // namespace millrace
