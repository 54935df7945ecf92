#include "tests/chaos/generator.h"

#include <librdkafka/rdkafka.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "tests/chaos/kafka_conf.h"

namespace millrace::chaos {
namespace {

constexpr int kFlushMs = 120000;
constexpr auto kTick = std::chrono::milliseconds(1);

}  // namespace

int64_t SteadyMicros() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Generator::Generator(const Truth& truth, GeneratorOptions options,
                     std::function<void(const std::string&)> failed)
    : truth_(truth),
      options_(std::move(options)),
      failed_(std::move(failed)),
      rate_(options_.rate) {
  for (int32_t p = 0; p < truth.partitions; ++p) {
    partitions_.push_back(std::make_unique<Partition>());
  }
}

absl::StatusOr<std::unique_ptr<Generator>> Generator::Start(
    const Truth& truth, const GeneratorOptions& options,
    std::function<void(const std::string&)> failed) {
  std::unique_ptr<Generator> generator(new Generator(truth, options, std::move(failed)));
  ASSIGN_OR_RETURN(generator->producer_, NewClient(RD_KAFKA_PRODUCER,
                                                   {{"bootstrap.servers", options.bootstrap},
                                                    {"enable.idempotence", "true"},
                                                    {"acks", "all"},
                                                    {"message.timeout.ms", "0"},  // never given up
                                                    {"linger.ms", options.rate > 0 ? "1" : "20"},
                                                    {"reconnect.backoff.ms", "50"},
                                                    {"reconnect.backoff.max.ms", "500"},
                                                    {"queue.buffering.max.messages", "200000"}},
                                                   &Generator::OnDelivery, generator.get()));
  generator->thread_ = std::thread(&Generator::Run, generator.get());
  return generator;
}

Generator::~Generator() {
  Stop();
  if (thread_.joinable()) {
    thread_.join();
  }
  if (producer_ != nullptr) {
    rd_kafka_destroy(producer_);
  }
}

Counts Generator::Produced() const {
  Counts counts;
  for (const auto& partition : partitions_) {
    counts.push_back(partition->produced);
  }
  return counts;
}

int64_t Generator::SentAt(int32_t partition, int64_t n) const {
  const Partition& sent = *partitions_[static_cast<size_t>(partition)];
  if (sent.produced - n > static_cast<int64_t>(kRemembered) / 2) {
    return 0;
  }
  return sent.sent_us[static_cast<size_t>(n) % kRemembered];
}

void Generator::Run() {
  using Clock = std::chrono::steady_clock;
  Clock::time_point last = Clock::now();
  double due = 0;
  while (!stop_ && (options_.records == 0 || sent_ < options_.records)) {
    const double rate = rate_;
    const Clock::time_point now = Clock::now();
    due = rate > 0 ? due + rate * std::chrono::duration<double>(now - last).count() : 100;
    last = now;
    for (; due >= 1 && !stop_ && (options_.records == 0 || sent_ < options_.records); --due) {
      SendNext();
    }
    rd_kafka_poll(producer_, 0);
    if (rate > 0) {
      std::this_thread::sleep_for(kTick);
    }
  }
  Flush();
  finished_ = true;
}

void Generator::SendNext() {
  const auto p = static_cast<int32_t>(sent_ % truth_.partitions);
  const int64_t n = sent_ / truth_.partitions;
  Partition& partition = *partitions_[static_cast<size_t>(p)];
  std::string json = truth_.Json(p, n);
  partition.sent_us[static_cast<size_t>(n) % kRemembered] = SteadyMicros();
  while (true) {
    const rd_kafka_resp_err_t error = rd_kafka_producev(
        producer_, RD_KAFKA_V_TOPIC(options_.topic.c_str()), RD_KAFKA_V_PARTITION(p),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(json.data(), json.size()),
        RD_KAFKA_V_OPAQUE(reinterpret_cast<void*>(static_cast<intptr_t>(n))), RD_KAFKA_V_END);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      break;
    }
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      failed_(
          absl::StrCat("sending record ", n, " of partition ", p, ": ", rd_kafka_err2str(error)));
      stop_ = true;
      return;
    }
    rd_kafka_poll(producer_, 20);
  }
  partition.produced = n + 1;
  ++sent_;
}

void Generator::Flush() {
  if (rd_kafka_flush(producer_, kFlushMs) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    failed_(
        absl::StrCat("only ", acknowledged_.load(), " of ", sent_, " records were acknowledged"));
  }
}

void Generator::OnDelivery(rd_kafka_s* client, const rd_kafka_message_s* message, void* self) {
  (void)client;
  auto* generator = static_cast<Generator*>(self);
  const auto n = static_cast<int64_t>(reinterpret_cast<intptr_t>(message->_private));
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    generator->failed_(absl::StrCat("record ", n, " of partition ", message->partition, ": ",
                                    rd_kafka_err2str(message->err)));
  } else if (message->offset != n) {
    generator->failed_(absl::StrCat("record ", n, " of partition ", message->partition,
                                    " was put at offset ", message->offset));
  } else {
    ++generator->acknowledged_;
  }
}

}  // namespace millrace::chaos
