// Every library that //third_party names compiles, links and answers: a missing or changed Debian
// package shows here by its name instead of deep inside some other target.

#include <absl/container/flat_hash_map.h>
#include <absl/status/statusor.h>
#include <absl/strings/str_cat.h>
#include <absl/synchronization/mutex.h>
#include <absl/time/time.h>
#include <benchmark/benchmark.h>
#include <gmock/gmock.h>
#include <google/protobuf/timestamp.pb.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <lz4.h>
#include <openssl/crypto.h>
#include <pg_query.h>
#include <prometheus/registry.h>
#include <re2/re2.h>
#include <simdjson.h>
#include <spdlog/spdlog.h>
#include <xxhash.h>
#include <zstd.h>

#include <CLI/CLI.hpp>
#include <boost/version.hpp>
#include <string>

namespace millrace {
namespace {

TEST(Libraries, Abseil) {
  absl::flat_hash_map<std::string, int> map{{"a", 1}};
  absl::Mutex mutex;
  absl::MutexLock lock(&mutex);
  absl::StatusOr<int> value = absl::NotFoundError("gone");
  EXPECT_EQ(map.find("a")->second, 1);
  EXPECT_EQ(absl::StrCat(value.status().message(), absl::FormatDuration(absl::Seconds(2))),
            "gone2s");
}

TEST(Libraries, ProtobufAndGrpc) {
  google::protobuf::Timestamp time;
  time.set_seconds(7);
  EXPECT_EQ(time.SerializeAsString().size(), 2u);
  EXPECT_EQ(grpc::Version(), "1.51.1");
}

TEST(Libraries, Parsers) {
  PgQueryProtobufParseResult tree = pg_query_parse_protobuf("SELECT 1");
  EXPECT_EQ(tree.error, nullptr);
  EXPECT_GT(tree.parse_tree.len, 0u);
  pg_query_free_protobuf_parse_result(tree);

  simdjson::dom::parser parser;
  EXPECT_EQ(int64_t{parser.parse(std::string("{\"a\": 3}"))["a"]}, 3);
  EXPECT_TRUE(RE2::FullMatch("abc", "a.c"));

  CLI::App app;
  int batches = 0;
  app.add_option("--batches", batches);
  app.parse("--batches 3");
  EXPECT_EQ(batches, 3);
}

TEST(Libraries, HashAndCompression) {
  EXPECT_EQ(XXH3_64bits("", 0), 0x2D06800538D394C2u);
  EXPECT_GT(ZSTD_compressBound(100), 100u);
  EXPECT_GT(LZ4_compressBound(100), 100);
  EXPECT_NE(OpenSSL_version_num(), 0u);
}

TEST(Libraries, Services) {
  httplib::Server server;
  EXPECT_TRUE(server.is_valid());
  prometheus::Registry registry;
  EXPECT_TRUE(registry.Collect().empty());
  EXPECT_NE(spdlog::default_logger(), nullptr);
  EXPECT_GT(BOOST_VERSION, 100000);
  EXPECT_FALSE(benchmark::ReportUnrecognizedArguments(0, nullptr));
}

TEST(Libraries, GMock) { EXPECT_THAT("millrace", ::testing::HasSubstr("race")); }

}  // namespace
}  // namespace millrace
