// Fills a Kafka topic with the word count benchmark's lines: always the same ones for a seed.
// Prints the lines per second.
//
//   fill BOOTSTRAP TOPIC PARTITIONS LINES [SEED [RATE [UNTIMED]]]
//
// A line is 12 words from 10,000 distinct ones of 2–12 letters, drawn with a skew (min of two
// uniform draws) as words of a language are; line i goes to partition i mod PARTITIONS.
// With RATE (lines per second) line i is sent when it is due, without lingering, and a second line
// tells in milliseconds how long the broker took to acknowledge a line: `acks: p50 … p99 … max …`.
// The first UNTIMED lines are not in it.
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

constexpr int kWordsPerLine = 12;
constexpr size_t kDistinctWords = 10000;

std::vector<std::string> MakeWords(std::mt19937_64* random) {
  std::vector<std::string> words;
  for (size_t i = 0; i < kDistinctWords; ++i) {
    // The number in base 26 makes each distinct; random letters in front spread the lengths.
    std::string word;
    for (size_t letters = (*random)() % 9; letters > 0; --letters) {
      word.push_back(static_cast<char>('a' + (*random)() % 26));
    }
    word.push_back('z');
    for (size_t rest = i; rest > 0; rest /= 25) {
      word.push_back(static_cast<char>('a' + rest % 25));
    }
    words.push_back(word);
  }
  return words;
}

void Append(const std::vector<std::string>& words, std::mt19937_64* random, std::string* line) {
  line->clear();
  for (int i = 0; i < kWordsPerLine; ++i) {
    uint64_t draw = (*random)();
    size_t a = (draw & 0xFFFFFFFF) % kDistinctWords;
    size_t b = (draw >> 32) % kDistinctWords;
    line->append(i == 0 ? "" : " ").append(words[a < b ? a : b]);
  }
}

void Die(const char* what, const char* detail) {
  std::fprintf(stderr, "fill: %s: %s\n", what, detail);
  std::exit(1);
}

// What became of the lines. The callback runs on whichever thread polls.
struct Deliveries {
  std::mutex mutex;
  int64_t failed = 0;
  std::vector<int64_t> ack_us;  // of the timed lines: from the call that produced it
};

char timed_line;  // its address is the opaque of a line whose acknowledgement is timed

void NoteDelivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
  auto* deliveries = static_cast<Deliveries*>(opaque);
  std::lock_guard<std::mutex> lock(deliveries->mutex);
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    ++deliveries->failed;
  } else if (message->_private == &timed_line) {
    deliveries->ack_us.push_back(rd_kafka_message_latency(message));
  }
}

void PrintAcks(std::vector<int64_t> ack_us) {
  std::sort(ack_us.begin(), ack_us.end());
  auto at = [&](double share) {
    const auto place = static_cast<size_t>(share * static_cast<double>(ack_us.size()));
    return static_cast<double>(ack_us[std::min(place, ack_us.size() - 1)]) / 1000;
  };
  std::printf("acks: p50 %.2f p99 %.2f max %.2f\n", at(0.5), at(0.99), at(1));
}

rd_kafka_t* NewProducer(const char* bootstrap, bool paced, Deliveries* deliveries) {
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  char error[512];
  const std::vector<std::pair<const char*, const char*>> properties = {
      {"bootstrap.servers", bootstrap},
      {"linger.ms", paced ? "0" : "20"},
      {"batch.size", "1000000"},
      {"queue.buffering.max.messages", "400000"},
      {"acks", "1"}};
  for (const auto& [name, value] : properties) {
    if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK) {
      Die("configuration", error);
    }
  }
  rd_kafka_conf_set_opaque(conf, deliveries);
  rd_kafka_conf_set_dr_msg_cb(conf, NoteDelivery);
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
  if (producer == nullptr) {
    Die("producer", error);
  }
  return producer;
}

void Produce(rd_kafka_t* producer, const char* topic, int32_t partition, const std::string& line,
             bool timed) {
  while (true) {
    rd_kafka_resp_err_t error =
        rd_kafka_producev(producer, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                          RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                          RD_KAFKA_V_VALUE(const_cast<char*>(line.data()), line.size()),
                          RD_KAFKA_V_OPAQUE(timed ? &timed_line : nullptr), RD_KAFKA_V_END);
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      return;
    }
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      Die("producing", rd_kafka_err2str(error));
    }
    rd_kafka_poll(producer, 100);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) {
    std::fprintf(stderr, "usage: fill BOOTSTRAP TOPIC PARTITIONS LINES [SEED [RATE [UNTIMED]]]\n");
    return 2;
  }
  const int64_t partitions = std::atoll(argv[3]);
  const int64_t lines = std::atoll(argv[4]);
  std::mt19937_64 random(argc > 5 ? std::strtoull(argv[5], nullptr, 10) : 1);
  const double rate = argc > 6 ? std::atof(argv[6]) : 0;
  const int64_t untimed = argc > 7 ? std::atoll(argv[7]) : 0;
  const std::vector<std::string> words = MakeWords(&random);
  Deliveries deliveries;
  rd_kafka_t* producer = NewProducer(argv[1], rate > 0, &deliveries);
  // Times an acknowledgement when it comes, not when the next line is due.
  std::atomic<bool> sending = true;
  std::thread poller([&] {
    while (rate > 0 && sending) {
      rd_kafka_poll(producer, 100);
    }
  });
  auto begin = std::chrono::steady_clock::now();
  std::string line;
  for (int64_t i = 0; i < lines; ++i) {
    Append(words, &random, &line);
    Produce(producer, argv[2], static_cast<int32_t>(i % partitions), line,
            rate > 0 && i >= untimed);
    if (rate > 0) {
      std::this_thread::sleep_until(
          begin + std::chrono::duration_cast<std::chrono::nanoseconds>(
                      std::chrono::duration<double>(static_cast<double>(i + 1) / rate)));
    }
    if (i % 1000 == 0) {
      rd_kafka_poll(producer, 0);
    }
  }
  const rd_kafka_resp_err_t flushed = rd_kafka_flush(producer, 120000);
  sending = false;
  poller.join();
  if (flushed != RD_KAFKA_RESP_ERR_NO_ERROR || deliveries.failed > 0) {
    Die("not all lines were delivered", std::to_string(deliveries.failed).c_str());
  }
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  std::printf("%lld lines in %.1f s, %.0f lines/s\n", static_cast<long long>(lines), seconds,
              static_cast<double>(lines) / seconds);
  if (!deliveries.ack_us.empty()) {
    PrintAcks(std::move(deliveries.ack_us));
  }
  rd_kafka_destroy(producer);
  return 0;
}
