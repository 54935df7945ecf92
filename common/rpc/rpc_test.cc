#include "common/rpc/rpc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/base/status.h"
#include "common/rpc/address.h"
#include "proto/jobs.grpc.pb.h"

namespace millrace {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(AddressTest, ParsesTheUsualForms) {
  const struct {
    const char* text;
    const char* host;
    int port;
  } cases[] = {
      {"127.0.0.1:7100", "127.0.0.1", 7100},
      {"db.example:1", "db.example", 1},
      {":0", "127.0.0.1", 0},
      {"7100", "127.0.0.1", 7100},
      {"[::1]:65535", "::1", 65535},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<HostPort> parsed = ParseHostPort(c.text);
    ASSERT_TRUE(parsed.ok()) << c.text << ": " << parsed.status();
    EXPECT_EQ(parsed->host, c.host) << c.text;
    EXPECT_EQ(parsed->port, c.port) << c.text;
  }
  for (const char* text : {"", "host", "host:", "host:65536", "host:-1", "::1:5", "host:1x"}) {
    const absl::StatusOr<HostPort> parsed = ParseHostPort(text);
    EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(parsed.status().message()), HasSubstr("host:port"));
  }
}

TEST(AddressTest, WritesIpv6InBrackets) {
  EXPECT_EQ((HostPort{"::1", 5}.ToString()), "[::1]:5");
  EXPECT_EQ((HostPort{"a", 5}.ToString()), "a:5");
}

TEST(StatusTest, KeepsCodeAndWords) {
  for (int code = 1; code <= 16; ++code) {
    const absl::Status status(static_cast<absl::StatusCode>(code), "what, where, what to do");
    EXPECT_EQ(FromGrpc(ToGrpc(status)), status);
  }
  EXPECT_TRUE(FromGrpc(ToGrpc(absl::OkStatus())).ok());
}

TEST(StatusTest, AnErrorIsNeverWithoutWords) {
  const absl::Status status = FromGrpc(grpc::Status(grpc::StatusCode::INTERNAL, ""));
  EXPECT_TRUE(absl::IsInternal(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("INTERNAL, without a message"));
}

class EchoJobs : public proto::Jobs::Service {
  grpc::Status Submit(grpc::ServerContext*, const proto::SubmitRequest* request,
                      proto::SubmitResponse* response) override {
    response->set_name(request->sql());
    return grpc::Status::OK;
  }
};

absl::StatusOr<std::string> Echo(const std::shared_ptr<grpc::Channel>& channel,
                                 const std::string& text) {
  grpc::ClientContext context;
  SetTimeout(&context, absl::Seconds(30));
  proto::SubmitRequest request;
  request.set_sql(text);
  proto::SubmitResponse response;
  RETURN_IF_ERROR(FromGrpc(proto::Jobs::NewStub(channel)->Submit(&context, request, &response)));
  return response.name();
}

TEST(RpcServerTest, ServesOnAFreePortMessagesBeyondGrpcsDefaultLimit) {
  EchoJobs service;
  auto server = RpcServer::Start("127.0.0.1:0", {&service}, "the test", "--listen");
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string large(6 << 20, 'x');
  absl::StatusOr<std::string> echoed = Echo(CreateChannel((*server)->address()), large);
  ASSERT_TRUE(echoed.ok()) << echoed.status();
  EXPECT_EQ(*echoed, large);
}

TEST(RpcServerTest, ServesInProcessWithoutAnAddress) {
  EchoJobs service;
  auto server = RpcServer::Start("", {&service}, "the test", "--listen");
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->address(), "");
  absl::StatusOr<std::string> echoed = Echo((*server)->InProcessChannel(), "hello");
  ASSERT_TRUE(echoed.ok()) << echoed.status();
  EXPECT_EQ(*echoed, "hello");
}

TEST(RpcServerTest, NamesThePortInUse) {
  EchoJobs service;
  auto first = RpcServer::Start("127.0.0.1:0", {&service}, "the test", "--listen");
  ASSERT_TRUE(first.ok()) << first.status();
  EchoJobs other;
  auto second = RpcServer::Start((*first)->address(), {&other}, "the test", "--listen");
  EXPECT_EQ(second.status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr((*first)->address()));
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--listen"));
}

TEST(AddressTest, SplitsSeveral) {
  EXPECT_THAT(SplitAddresses("alpha:7070, beta:7070,"), ElementsAre("alpha:7070", "beta:7070"));
  EXPECT_THAT(SplitAddresses("  "), IsEmpty());
}

TEST(HeldAddressTest, RefusesConnectionsUntilAServerListensThere) {
  EchoJobs service;
  auto held = HeldAddress::Hold("127.0.0.1:0", "the test", "--listen");
  ASSERT_TRUE(held.ok()) << held.status();
  const std::string address = held->address().ToString();
  EXPECT_NE(held->address().port, 0);
  const std::shared_ptr<grpc::Channel> channel = CreateChannel(address);
  EXPECT_EQ(Echo(channel, "hello").status().code(), absl::StatusCode::kUnavailable);
  auto server = RpcServer::Start(address, {&service}, "the test", "--listen");
  ASSERT_TRUE(server.ok()) << server.status();
  EXPECT_EQ((*server)->address(), address);
  EXPECT_TRUE(channel->WaitForConnected(RpcDeadline(absl::Seconds(20))));
  EXPECT_EQ(*Echo(channel, "hello"), "hello");
}

TEST(HeldAddressTest, NamesThePortInUse) {
  EchoJobs service;
  auto server = RpcServer::Start("127.0.0.1:0", {&service}, "the test", "--listen");
  ASSERT_TRUE(server.ok()) << server.status();
  const auto held = HeldAddress::Hold((*server)->address(), "the test", "--listen");
  EXPECT_EQ(held.status().code(), absl::StatusCode::kAlreadyExists);
}

}  // namespace
}  // namespace millrace
