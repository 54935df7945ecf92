// A Kafka in this process, for `millrace demo` and unit tests: librdkafka's mock cluster. It keeps
// about 5 MB per partition and has no real transactions: never an oracle, never a benchmark.
#ifndef MILLRACE_CONNECTORS_KAFKA_TESTING_MOCK_CLUSTER_H_
#define MILLRACE_CONNECTORS_KAFKA_TESTING_MOCK_CLUSTER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace millrace::kafka {

// Thread-safe. The cluster ends with the object.
class MockKafkaCluster {
 public:
  virtual ~MockKafkaCluster() = default;

  // "127.0.0.1:34567", for the property bootstrap.servers.
  virtual std::string bootstrap_servers() const = 0;
  virtual absl::Status CreateTopic(const std::string& name, int32_t partitions) = 0;
  // From now on, brokers answer each request so much later, as ones that hang do.
  virtual absl::Status DelayAnswers(absl::Duration delay) = 0;
};
absl::StatusOr<std::unique_ptr<MockKafkaCluster>> StartMockKafkaCluster(int brokers = 1);

// Produces line(0), line(1), … to a topic at a steady rate from a thread of its own, until it is
// destroyed or stopped.
class SteadyProducer {
 public:
  virtual ~SteadyProducer() = default;

  // Ends production and waits for the records under way. Returns the first error of the run.
  virtual absl::Status Stop(absl::Duration timeout) = 0;
  virtual int64_t produced() const = 0;
};
absl::StatusOr<std::unique_ptr<SteadyProducer>> StartSteadyProducer(
    const std::string& bootstrap_servers, const std::string& topic, double lines_per_second,
    std::function<std::string(int64_t)> line);

}  // namespace millrace::kafka

#endif  // MILLRACE_CONNECTORS_KAFKA_TESTING_MOCK_CLUSTER_H_
