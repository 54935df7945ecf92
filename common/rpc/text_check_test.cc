#include "common/rpc/text_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "proto/jobs.pb.h"

namespace millrace {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

proto::SubmitRequest Request() {
  proto::SubmitRequest request;
  request.set_sql("SELECT 'é'");
  request.set_name("Wörter");
  (*request.mutable_settings())["job_name"] = "Wörter";
  return request;
}

std::string Complaint(const google::protobuf::Message& message) {
  const absl::Status status = CheckTexts(message);
  EXPECT_TRUE(status.ok() || absl::IsInvalidArgument(status)) << status;
  return std::string(status.message());
}

TEST(TextCheckTest, Utf8IsTaken) {
  EXPECT_EQ(Complaint(Request()), "");
  EXPECT_EQ(Complaint(proto::SubmitRequest()), "");
}

TEST(TextCheckTest, NamesTheFieldAndShowsTheBytes) {
  proto::SubmitRequest request = Request();
  request.set_name("W\xF6rter");
  EXPECT_EQ(Complaint(request), "name 'W\\xf6rter' is not UTF-8: byte 2");
}

TEST(TextCheckTest, LooksIntoMapsListsAndMessages) {
  proto::SubmitRequest with_setting = Request();
  (*with_setting.mutable_settings())["job_name"] = "\xFF";
  EXPECT_THAT(Complaint(with_setting), HasSubstr("value '\\xff' is not UTF-8"));
  proto::SubmitResponse with_notices;
  with_notices.add_notices("fine");
  with_notices.add_notices("\xFF");
  EXPECT_THAT(Complaint(with_notices), HasSubstr("notices '\\xff'"));
  proto::ListResponse with_jobs;
  with_jobs.add_jobs()->set_message("\xFF");
  EXPECT_THAT(Complaint(with_jobs), HasSubstr("message '\\xff'"));
}

TEST(TextCheckTest, ShowsALongTextInPart) {
  proto::JobRequest request;
  request.set_name(std::string(100'000, 'x') + "\xFF");
  EXPECT_THAT(Complaint(request), AllOf(HasSubstr("byte 100001"), SizeIs(::testing::Lt(300u))));
}

}  // namespace
}  // namespace millrace
