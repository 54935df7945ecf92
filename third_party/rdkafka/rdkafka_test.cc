// The librdkafka that is linked is the one that third_party/rdkafka prepares, with what we need
// built in.

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <memory>
#include <string>

namespace millrace {
namespace {

std::string BuiltinFeatures() {
  std::unique_ptr<rd_kafka_conf_t, decltype(&rd_kafka_conf_destroy)> conf(rd_kafka_conf_new(),
                                                                          rd_kafka_conf_destroy);
  char value[512] = "";
  size_t size = sizeof(value);
  EXPECT_EQ(rd_kafka_conf_get(conf.get(), "builtin.features", value, &size), RD_KAFKA_CONF_OK);
  return value;
}

TEST(Rdkafka, IsThePinnedVersion) {
  EXPECT_STREQ(rd_kafka_version_str(), "2.15.1");
  EXPECT_EQ(RD_KAFKA_VERSION, 0x020f01ff);
}

TEST(Rdkafka, HasCompressionTlsAndScram) {
  const std::string features = BuiltinFeatures();
  for (const char* feature : {"gzip", "snappy", "lz4", "zstd", "ssl", "sasl_scram"}) {
    EXPECT_NE(features.find(feature), std::string::npos) << feature << " not in " << features;
  }
}

TEST(Rdkafka, RunsAMockCluster) {
  char error[256];
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), error, sizeof(error));
  ASSERT_NE(producer, nullptr) << error;
  rd_kafka_mock_cluster_t* cluster = rd_kafka_mock_cluster_new(producer, 1);
  ASSERT_NE(cluster, nullptr);
  EXPECT_NE(std::string(rd_kafka_mock_cluster_bootstraps(cluster)), "");
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(producer);
}

// A producer's, which is in no group: without repository.bzl's patch it crashes.
TEST(Rdkafka, ReadsTheOffsetsOfAGroupWhoseCoordinatorHasMoved) {
  char error[256];
  rd_kafka_t* client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), error, sizeof(error));
  rd_kafka_mock_cluster_t* cluster = rd_kafka_mock_cluster_new(client, 1);
  rd_kafka_brokers_add(client, rd_kafka_mock_cluster_bootstraps(cluster));
  constexpr int16_t kOffsetFetch = 9;
  rd_kafka_mock_push_request_errors(cluster, kOffsetFetch, 1, RD_KAFKA_RESP_ERR_NOT_COORDINATOR);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client);
  for (bool answered = false; !answered;) {
    rd_kafka_ListConsumerGroupOffsets_t* request =
        rd_kafka_ListConsumerGroupOffsets_new("group", nullptr);
    rd_kafka_ListConsumerGroupOffsets(client, &request, 1, nullptr, queue);
    rd_kafka_event_t* event = rd_kafka_queue_poll(queue, 30000);
    ASSERT_NE(event, nullptr);
    size_t groups = 0;
    const rd_kafka_group_result_t** results = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &groups);
    answered = rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR_NO_ERROR && groups == 1 &&
               rd_kafka_group_result_error(results[0]) == nullptr;
    rd_kafka_event_destroy(event);
    rd_kafka_ListConsumerGroupOffsets_destroy(request);
  }
  rd_kafka_queue_destroy(queue);
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(client);
}

// Upstream issue 5456: without repository.bzl's patch this call does not return.
TEST(Rdkafka, SendingOffsetsEndsInTimeWhenTheCoordinatorIsDown) {
  char error[256];
  rd_kafka_t* host = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), error, sizeof(error));
  rd_kafka_mock_cluster_t* cluster = rd_kafka_mock_cluster_new(host, 3);
  rd_kafka_mock_topic_create(cluster, "topic", 1, 3);
  rd_kafka_mock_coordinator_set(cluster, "transaction", "id", 1);
  rd_kafka_mock_coordinator_set(cluster, "group", "group", 2);
  rd_kafka_mock_partition_set_leader(cluster, "topic", 0, 3);
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  rd_kafka_conf_set(conf, "bootstrap.servers", rd_kafka_mock_cluster_bootstraps(cluster), error,
                    sizeof(error));
  rd_kafka_conf_set(conf, "transactional.id", "id", error, sizeof(error));
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
  ASSERT_NE(producer, nullptr) << error;
  ASSERT_EQ(rd_kafka_init_transactions(producer, 10000), nullptr);
  ASSERT_EQ(rd_kafka_begin_transaction(producer), nullptr);

  rd_kafka_mock_broker_set_down(cluster, 2);
  rd_kafka_topic_partition_list_t* offsets = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(offsets, "topic", 0)->offset = 0;
  rd_kafka_consumer_group_metadata_t* group = rd_kafka_consumer_group_metadata_new("group");
  rd_kafka_error_t* sent = rd_kafka_send_offsets_to_transaction(producer, offsets, group, 1000);
  ASSERT_NE(sent, nullptr);
  EXPECT_EQ(rd_kafka_error_code(sent), RD_KAFKA_RESP_ERR__TIMED_OUT) << rd_kafka_error_string(sent);
  rd_kafka_error_destroy(sent);

  // And goes on by itself once the coordinator is back.
  rd_kafka_mock_broker_set_up(cluster, 2);
  ASSERT_EQ(rd_kafka_abort_transaction(producer, 10000), nullptr);
  ASSERT_EQ(rd_kafka_begin_transaction(producer), nullptr);
  EXPECT_EQ(rd_kafka_send_offsets_to_transaction(producer, offsets, group, 10000), nullptr);
  EXPECT_EQ(rd_kafka_commit_transaction(producer, 10000), nullptr);
  rd_kafka_consumer_group_metadata_destroy(group);
  rd_kafka_topic_partition_list_destroy(offsets);
  rd_kafka_destroy(producer);
  rd_kafka_mock_cluster_destroy(cluster);
  rd_kafka_destroy(host);
}

}  // namespace
}  // namespace millrace
