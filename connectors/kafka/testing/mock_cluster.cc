#include "connectors/kafka/testing/mock_cluster.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/monotonic_cond_var.h"
#include "common/base/status.h"
#include "connectors/kafka/admin/admin.h"
#include "connectors/kafka/client/client.h"

namespace millrace::kafka {
namespace {

class Cluster : public MockKafkaCluster {
 public:
  explicit Cluster(rd_kafka_t* client) : client_(client) {}
  ~Cluster() override {
    if (cluster_ != nullptr) {
      rd_kafka_mock_cluster_destroy(cluster_);
    }
    rd_kafka_destroy(client_);
  }

  absl::Status Start(int brokers) {
    cluster_ = rd_kafka_mock_cluster_new(client_, brokers);
    if (cluster_ == nullptr) {
      return absl::InternalError("the embedded Kafka could not be started: no free port?");
    }
    // The mock has no controller by itself, and admin requests would wait for one.
    rd_kafka_mock_set_controller_id(cluster_, 1);
    return absl::OkStatus();
  }

  std::string bootstrap_servers() const override {
    return rd_kafka_mock_cluster_bootstraps(cluster_);
  }

  absl::Status CreateTopic(const std::string& name, int32_t partitions) override {
    return KafkaStatus(rd_kafka_mock_topic_create(cluster_, name.c_str(), partitions, 1),
                       absl::StrCat("creating topic ", name));
  }

  absl::Status DelayAnswers(absl::Duration delay) override {
    constexpr int32_t kAllBrokers = -1;
    return KafkaStatus(rd_kafka_mock_broker_set_rtt(cluster_, kAllBrokers, MillisecondsOf(delay)),
                       "delaying answers");
  }

 private:
  rd_kafka_t* client_;
  rd_kafka_mock_cluster_t* cluster_ = nullptr;
};

// Sends in ticks: at each tick it sends the lines that are due, then waits for the next.
class Producer : public SteadyProducer {
 public:
  Producer(std::unique_ptr<KafkaRecordProducer> producer, double rate,
           std::function<std::string(int64_t)> line)
      : producer_(std::move(producer)),
        rate_(rate),
        line_(std::move(line)),
        thread_([this] { Run(); }) {}
  ~Producer() override { (void)Stop(absl::Seconds(1)); }

  absl::Status Stop(absl::Duration timeout) override {
    {
      absl::MutexLock lock(&mutex_);
      stop_ = true;
    }
    wake_.SignalAll();
    if (thread_.joinable()) {
      thread_.join();
      const absl::Status flushed = producer_->Flush(timeout);
      absl::MutexLock lock(&mutex_);
      status_.Update(flushed);
    }
    absl::MutexLock lock(&mutex_);
    return status_;
  }

  int64_t produced() const override { return produced_.load(); }

 private:
  static constexpr absl::Duration kTick = absl::Milliseconds(10);

  void Run() {
    auto begin = std::chrono::steady_clock::now();
    absl::MutexLock lock(&mutex_);
    while (!stop_ && status_.ok()) {
      mutex_.Unlock();
      double elapsed =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      auto due = static_cast<int64_t>(elapsed * rate_);
      absl::Status status;
      while (produced_.load() < due && status.ok()) {
        status = producer_->Send(std::nullopt, line_(produced_.load()));
        ++produced_;
      }
      mutex_.Lock();
      status_ = status;
      if (!stop_) {
        wake_.WaitFor(&mutex_, kTick);
      }
    }
  }

  std::unique_ptr<KafkaRecordProducer> producer_;
  const double rate_;
  std::function<std::string(int64_t)> line_;
  std::atomic<int64_t> produced_{0};
  absl::Mutex mutex_;
  MonotonicCondVar wake_;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace

absl::StatusOr<std::unique_ptr<MockKafkaCluster>> StartMockKafkaCluster(int brokers) {
  char reason[256];
  KafkaPtr<rd_kafka_conf_t> conf(rd_kafka_conf_new());
  rd_kafka_conf_set(conf.get(), "client.id", "millrace-embedded", reason, sizeof(reason));
  rd_kafka_conf_set(conf.get(), "log_level", "2", reason, sizeof(reason));
  rd_kafka_t* client = rd_kafka_new(RD_KAFKA_PRODUCER, conf.get(), reason, sizeof(reason));
  if (client == nullptr) {
    return absl::InternalError(absl::StrCat("the embedded Kafka could not be started: ", reason));
  }
  (void)conf.release();  // rd_kafka_new has taken it
  auto cluster = std::make_unique<Cluster>(client);
  RETURN_IF_ERROR(cluster->Start(brokers));
  return cluster;
}

absl::StatusOr<std::unique_ptr<SteadyProducer>> StartSteadyProducer(
    const std::string& bootstrap_servers, const std::string& topic, double lines_per_second,
    std::function<std::string(int64_t)> line) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<KafkaRecordProducer> producer,
      NewKafkaRecordProducer({{"bootstrap.servers", bootstrap_servers}}, topic, absl::Seconds(10)));
  return std::make_unique<Producer>(std::move(producer), lines_per_second, std::move(line));
}

}  // namespace millrace::kafka
