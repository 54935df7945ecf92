// Sends the truth to a Kafka topic: record n of partition p as the n-th record of that partition,
// idempotent and acknowledged, at a steady rate, for as long as the broker needs. That each record
// lies at its own offset is checked, so that the ledger cannot be wrong about what was sent.
#ifndef MILLRACE_TESTS_CHAOS_GENERATOR_H_
#define MILLRACE_TESTS_CHAOS_GENERATOR_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "tests/chaos/checks.h"
#include "tests/chaos/truth.h"

struct rd_kafka_s;
struct rd_kafka_message_s;

namespace millrace::chaos {

struct GeneratorOptions {
  std::string bootstrap;
  std::string topic;    // empty at the start, of truth.partitions partitions
  double rate = 1000;   // records per second over all partitions; 0: as fast as they are taken
  int64_t records = 0;  // in all; 0: until Stop
};

class Generator {
 public:
  // `failed` is called, from the generator's thread, when a record is lost or lies at another
  // offset. `truth` outlives the generator.
  static absl::StatusOr<std::unique_ptr<Generator>> Start(
      const Truth& truth, const GeneratorOptions& options,
      std::function<void(const std::string&)> failed);
  ~Generator();

  // Thread-safe, as all below.
  void SetRate(double rate) { rate_ = rate; }
  // Sends no more, and lets what was sent be acknowledged. Done when finished() is true.
  void Stop() { stop_ = true; }
  bool finished() const { return finished_; }

  Counts Produced() const;
  int64_t acknowledged() const { return acknowledged_; }
  // When a record was handed to the client, in microseconds of the steady clock; 0 if that is too
  // long ago to be known.
  int64_t SentAt(int32_t partition, int64_t n) const;

 private:
  static constexpr size_t kRemembered = 1 << 18;  // send times per partition

  struct Partition {
    std::atomic<int64_t> produced{0};
    std::unique_ptr<std::atomic<int64_t>[]> sent_us =
        std::make_unique<std::atomic<int64_t>[]>(kRemembered);
  };

  Generator(const Truth& truth, GeneratorOptions options,
            std::function<void(const std::string&)> failed);
  void Run();
  void SendNext();
  void Flush();
  static void OnDelivery(rd_kafka_s* client, const rd_kafka_message_s* message, void* self);

  const Truth& truth_;
  const GeneratorOptions options_;
  const std::function<void(const std::string&)> failed_;
  std::vector<std::unique_ptr<Partition>> partitions_;
  int64_t sent_ = 0;  // over all partitions
  std::atomic<double> rate_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> finished_{false};
  std::atomic<int64_t> acknowledged_{0};
  rd_kafka_s* producer_ = nullptr;
  std::thread thread_;
};

// Now, by the steady clock.
int64_t SteadyMicros();

}  // namespace millrace::chaos

#endif  // MILLRACE_TESTS_CHAOS_GENERATOR_H_
