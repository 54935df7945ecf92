// Tests of what needs no cluster: properties, start positions, names of topics and partitions.
#include "connectors/kafka/client/client.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "absl/strings/match.h"
#include "connectors/kafka/client/properties.h"
#include "connectors/kafka/client/start_position.h"
#include "connectors/kafka/client/topics.h"

namespace millrace::kafka {
namespace {

OptionMap One(const std::string& name, const std::string& value = "x") {
  OptionMap options;
  options[name] = value;
  return options;
}

TEST(KafkaProperties, EveryAllowedOneIsKnownToLibrdkafka) {
  for (KafkaRole role : {KafkaRole::kConsumer, KafkaRole::kProducer, KafkaRole::kAdmin}) {
    for (const std::string& name : AllowedKafkaProperties(role)) {
      KafkaPtr<rd_kafka_conf_t> conf(rd_kafka_conf_new());
      char reason[256];
      EXPECT_NE(rd_kafka_conf_set(conf.get(), name.c_str(), "1", reason, sizeof(reason)),
                RD_KAFKA_CONF_UNKNOWN)
          << name;
    }
  }
}

TEST(KafkaProperties, WhatLoadsRunsReadsOrCallsIsRefused) {
  for (const char* name :
       {"plugin.library.paths", "ssl.engine.location", "ssl.providers", "sasl.kerberos.kinit.cmd",
        "ssl.ca.location", "ssl.key.location", "ssl.certificate.location", "ssl.keystore.location",
        "ssl.crl.location", "sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.config",
        "https.ca.location"}) {
    for (KafkaRole role : {KafkaRole::kConsumer, KafkaRole::kProducer, KafkaRole::kAdmin}) {
      absl::Status status = CheckKafkaOptionNames(One(name), role, {"topic"});
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << name;
      EXPECT_TRUE(absl::StrContains(status.message(), std::string(name) + " is not allowed"))
          << status;
      EXPECT_FALSE(IsAllowedKafkaProperty(name, role));
    }
  }
  EXPECT_TRUE(absl::StrContains(
      CheckKafkaOptionNames(One("ssl.ca.location"), KafkaRole::kConsumer, {}).message(),
      "use ssl.ca.pem = '${file:PATH}'"));
}

TEST(KafkaProperties, WhatTheEngineDecidesIsRefused) {
  for (const char* name : {"enable.auto.commit", "auto.offset.reset", "group.id",
                           "transactional.id", "enable.idempotence", "enable.partition.eof"}) {
    EXPECT_TRUE(absl::StrContains(
        CheckKafkaOptionNames(One(name), KafkaRole::kConsumer, {}).message(), "is not allowed"))
        << name;
  }
}

TEST(KafkaProperties, BelongToARole) {
  EXPECT_TRUE(CheckKafkaOptionNames(One("fetch.min.bytes"), KafkaRole::kConsumer, {}).ok());
  EXPECT_FALSE(CheckKafkaOptionNames(One("fetch.min.bytes"), KafkaRole::kProducer, {}).ok());
  EXPECT_TRUE(CheckKafkaOptionNames(One("compression.type"), KafkaRole::kProducer, {}).ok());
  EXPECT_TRUE(CheckKafkaOptionNames(One("topic"), KafkaRole::kProducer, {"topic"}).ok());
  absl::Status status =
      CheckKafkaOptionNames(One("bootstrap.server"), KafkaRole::kConsumer, {"topic"});
  EXPECT_TRUE(absl::StrContains(status.message(), "did you mean bootstrap.servers?")) << status;
}

TEST(KafkaProperties, ValuesAreCheckedWithoutACluster) {
  EXPECT_TRUE(
      CheckKafkaPropertyValues(KafkaRole::kConsumer, One("security.protocol", "sasl_ssl")).ok());
  absl::Status status =
      CheckKafkaPropertyValues(KafkaRole::kConsumer, One("security.protocol", "tls"));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "security.protocol")) << status;
  EXPECT_TRUE(
      CheckKafkaPropertyValues(KafkaRole::kConsumer, One("security.protocol", "${env:PROTOCOL}"))
          .ok());
}

TEST(KafkaClient, KeepsSecretsOutOfMessages) {
  setenv("MILLRACE_TEST_SECRET", "s3cret", 1);
  absl::Status status =
      KafkaClient::Create(KafkaRole::kConsumer,
                          One("security.protocol", "${env:MILLRACE_TEST_SECRET}"), {})
          .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(absl::StrContains(status.message(), "security.protocol")) << status;
  EXPECT_FALSE(absl::StrContains(status.message(), "s3cret")) << status;
  status = KafkaClient::Create(KafkaRole::kConsumer,
                               One("sasl.password", "${env:MILLRACE_NOT_THERE}"), {})
               .status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
}

TEST(KafkaStartPosition, IsParsed) {
  EXPECT_EQ(ParseKafkaStart("earliest")->kind, KafkaStart::Kind::kEarliest);
  EXPECT_EQ(ParseKafkaStart("latest")->kind, KafkaStart::Kind::kLatest);
  EXPECT_EQ(ParseKafkaStart("group")->kind, KafkaStart::Kind::kGroup);
  EXPECT_EQ(ParseKafkaStart("timestamp:2023-11-14T22:13:20Z")->timestamp_ms, 1700000000000);
  EXPECT_EQ(ParseKafkaStart("timestamp:2023-11-14T23:13:20+01:00")->timestamp_ms, 1700000000000);
  EXPECT_EQ(ParseKafkaStart("timestamp:1700000000000")->timestamp_ms, 1700000000000);
  EXPECT_EQ(ParseKafkaStart("offsets:0:12,1:7")->offsets,
            (std::map<int32_t, int64_t>{{0, 12}, {1, 7}}));
  for (const char* bad : {"", "Earliest", "offsets", "offsets:", "offsets:0", "offsets:0:-1",
                          "offsets:0:1,0:2", "timestamp:", "timestamp:soon", "timestamp:-5"}) {
    absl::Status status = ParseKafkaStart(bad).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_TRUE(absl::StrContains(status.message(), "earliest, latest, group")) << status;
  }
}

TEST(KafkaTopicNames, AreListsOrPatterns) {
  EXPECT_EQ(ParseKafkaTopics("b, a,b")->names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(ParseKafkaTopics("/events-.*/")->pattern, "events-.*");
  for (const char* bad : {"", "a,,b", "a b", "a/b", "/(/", "//", ".."}) {
    EXPECT_EQ(ParseKafkaTopics(bad).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST(KafkaPartitionNames, GoBothWays) {
  auto parsed = ParseKafkaPartition(KafkaPartitionName("my.topic", 12));
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->first, "my.topic");
  EXPECT_EQ(parsed->second, 12);
  for (const char* bad : {"topic", "/1", "topic/", "topic/x", "topic/-1"}) {
    EXPECT_FALSE(ParseKafkaPartition(bad).ok()) << bad;
  }
}

TEST(NoSuchTopic, ShowsWhatIsNearAndLeavesOutKafkasOwn) {
  std::vector<KafkaTopicMetadata> topics = {
      {.name = "__consumer_offsets"}, {.name = "orders"}, {.name = "payments"}};
  EXPECT_EQ(NoSuchTopic("order", topics).message(),
            "there is no topic \"order\"; did you mean orders? There are: orders, payments");
  EXPECT_TRUE(absl::StrContains(NoSuchTopic("x", {}).message(), "the cluster has no topics yet"));
  // A person who deletes or reads a topic is not told to create it; one who writes to it is.
  EXPECT_EQ(WithCreationAdvice(NoSuchTopic("x", {}), "x").message(),
            "there is no topic \"x\"; the cluster has no topics yet. Create it with: millrace "
            "topics create x");
  EXPECT_TRUE(WithCreationAdvice(absl::OkStatus(), "x").ok());
  EXPECT_EQ(WithCreationAdvice(absl::UnavailableError("away"), "x").message(), "away");
}

TEST(KafkaDelivery, ARefusalNamesRecordAndLimit) {
  const std::string key(300, 'k');
  const KafkaUndelivered record{.topic = "t", .partition = 3, .key = key, .bytes = 2000000};
  const absl::Status by_broker =
      KafkaDeliveryStatus(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, record, /*by_broker=*/true);
  EXPECT_EQ(by_broker.code(), absl::StatusCode::kInvalidArgument);
  for (const char* part : {"topic t partition 3", "2000000 bytes", "key \"kkk", "…\"",
                           "raise its max.message.bytes"}) {
    EXPECT_TRUE(absl::StrContains(by_broker.message(), part)) << by_broker;
  }
  EXPECT_LT(by_broker.message().size(), 400u);
  EXPECT_TRUE(absl::StrContains(
      KafkaDeliveryStatus(RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, record, false).message(),
      "property message.max.bytes"));
  const absl::Status no_key = KafkaDeliveryStatus(RD_KAFKA_RESP_ERR_INVALID_RECORD,
                                                  {.topic = "t", .partition = 0, .bytes = 5}, true);
  EXPECT_TRUE(absl::StrContains(no_key.message(), "cleanup.policy = compact wants a key"))
      << no_key;
  EXPECT_EQ(KafkaDeliveryStatus(RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, record, true).code(),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(KafkaDeliveryStatus(RD_KAFKA_RESP_ERR__MSG_TIMED_OUT, record, true).message(),
            "writing to topic t partition 3: Local: Message timed out");
}

}  // namespace
}  // namespace millrace::kafka
