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

}  // namespace
}  // namespace millrace
