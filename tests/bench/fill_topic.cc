// Fills a topic with lines of words, the same ones for the same seed: the benchmark's input. As
// fast as the broker takes them, or at a steady rate.
#include <librdkafka/rdkafka.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

namespace {

struct Options {
  std::string bootstrap;
  std::string topic;
  int64_t lines = 8'000'000;
  int words_per_line = 12;
  uint64_t distinct = 10'000;
  uint64_t seed = 1;
  int partitions = 4;
  double rate = 0;  // lines/s; 0 = no limit
};

// SplitMix64: the same numbers on every machine.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t Below(uint64_t bound) { return (static_cast<unsigned __int128>(Next()) * bound) >> 64; }

 private:
  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }
  uint64_t state_;
};

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "fill_topic: %s\n", message.c_str());
  std::exit(1);
}

// `count` different words of 3 to 10 letters, the last of them made unique by a number.
std::vector<std::string> MakeWords(uint64_t count, Random& random) {
  std::vector<std::string> words;
  for (uint64_t i = 0; i < count; ++i) {
    std::string word;
    const uint64_t letters = 1 + random.Below(5);
    for (uint64_t k = 0; k < letters; ++k) {
      word += static_cast<char>('a' + random.Below(26));
    }
    words.push_back(word + std::to_string(i));
  }
  return words;
}

rd_kafka_t* NewProducer(const Options& options) {
  char error[512];
  rd_kafka_conf_t* conf = rd_kafka_conf_new();
  const char* const settings[][2] = {{"bootstrap.servers", options.bootstrap.c_str()},
                                     {"linger.ms", options.rate > 0 ? "1" : "20"},
                                     {"batch.size", "1000000"},
                                     {"queue.buffering.max.messages", "1000000"},
                                     {"acks", "1"}};
  for (const auto& [name, value] : settings) {
    if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK) {
      Die(error);
    }
  }
  rd_kafka_conf_set_dr_msg_cb(conf, [](rd_kafka_t*, const rd_kafka_message_t* message, void*) {
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      Die(std::string("a line was not delivered: ") + rd_kafka_err2str(message->err));
    }
  });
  rd_kafka_t* producer = rd_kafka_new(RD_KAFKA_PRODUCER, conf, error, sizeof(error));
  return producer != nullptr ? producer : (Die(error), nullptr);
}

void Send(rd_kafka_t* producer, const Options& options, int64_t line, const std::string& text) {
  while (true) {
    const rd_kafka_resp_err_t result = rd_kafka_producev(
        producer, RD_KAFKA_V_TOPIC(options.topic.c_str()),
        RD_KAFKA_V_PARTITION(static_cast<int32_t>(line % options.partitions)),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_VALUE(const_cast<char*>(text.data()), text.size()), RD_KAFKA_V_END);
    if (result == RD_KAFKA_RESP_ERR_NO_ERROR) {
      return;
    }
    if (result != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
      Die(rd_kafka_err2str(result));
    }
    rd_kafka_poll(producer, 10);
  }
}

void Fill(const Options& options) {
  Random random(options.seed);
  const std::vector<std::string> words = MakeWords(options.distinct, random);
  rd_kafka_t* producer = NewProducer(options);
  const auto start = std::chrono::steady_clock::now();
  std::string text;
  for (int64_t line = 0; line < options.lines; ++line) {
    text.clear();
    for (int i = 0; i < options.words_per_line; ++i) {
      text.append(i == 0 ? "" : " ").append(words[random.Below(words.size())]);
    }
    if (options.rate > 0) {
      std::this_thread::sleep_until(
          start + std::chrono::duration<double>(static_cast<double>(line) / options.rate));
      rd_kafka_poll(producer, 0);
    } else if (line % 10'000 == 0) {
      rd_kafka_poll(producer, 0);
    }
    Send(producer, options, line, text);
  }
  if (rd_kafka_flush(producer, 60'000) != RD_KAFKA_RESP_ERR_NO_ERROR) {
    Die("lines were not delivered within a minute");
  }
  rd_kafka_destroy(producer);
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app("Fills a topic with lines of words.");
  app.add_option("--bootstrap", options.bootstrap)->required();
  app.add_option("--topic", options.topic)->required();
  app.add_option("--lines", options.lines);
  app.add_option("--words", options.words_per_line);
  app.add_option("--distinct", options.distinct);
  app.add_option("--seed", options.seed);
  app.add_option("--partitions", options.partitions);
  app.add_option("--rate", options.rate);
  CLI11_PARSE(app, argc, argv);
  Fill(options);
  return 0;
}
