// The truth ledger as a process (ledger.h): commands on stdin, events on stdout. Exit code: 0 all
// outputs are right, 1 not, 2 wrong usage. Ends by itself when stdin does.
//
//   ledger --bootstrap 127.0.0.1:9092 --topic in --output plain=out --output plain_files=/tmp/out
#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>
#include <string>
#include <thread>
#include <vector>

#include "common/base/status.h"
#include "tests/chaos/ledger.h"

namespace millrace::chaos {
namespace {

void AddFlags(CLI::App* app, LedgerOptions* options, std::vector<std::string>* outputs) {
  app->add_option("--bootstrap", options->generator.bootstrap, "host:port of the broker")
      ->required();
  app->add_option("--topic", options->generator.topic, "where records are sent")->required();
  app->add_option("--output", *outputs, "name=topic, or name_files=directory (checks.h)");
  app->add_option("--partitions", options->truth.partitions, "of every topic")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app->add_option("--rate", options->generator.rate, "records/s; 0: as fast as possible")
      ->capture_default_str();
  app->add_option("--records", options->generator.records, "in all; 0: until told to stop")
      ->capture_default_str();
  app->add_option("--seed", options->truth.seed, "of the records' contents")->capture_default_str();
  app->add_option("--hot-keys", options->truth.hot_keys, "per partition, with half of the records")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  app->add_option("--cold-keys", options->truth.cold_keys, "per partition, with the other half")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
}

int Main(int argc, char** argv) {
  CLI::App app("Sends records and checks what a job makes of them.", "ledger");
  LedgerOptions options;
  std::vector<std::string> outputs;
  AddFlags(&app, &options, &outputs);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  for (const std::string& output : outputs) {
    const size_t equals = output.find('=');
    if (equals == std::string::npos) {
      std::cerr << "ledger: --output takes name=place, not " << output << std::endl;
      return 2;
    }
    options.outputs.emplace_back(output.substr(0, equals), output.substr(equals + 1));
  }
  Events events;
  absl::StatusOr<std::unique_ptr<Ledger>> ledger = Ledger::Create(options, &events);
  if (!ledger.ok()) {
    std::cerr << "ledger: " << ToStd(ledger.status().message()) << std::endl;
    return 2;
  }
  std::thread([&ledger] {
    std::string line;
    while (std::getline(std::cin, line)) {
      (*ledger)->Command(line);
    }
    std::_Exit(3);  // whoever started this is gone
  }).detach();
  const bool right = (*ledger)->Run();
  // Without destructors: the thread above still reads. Events are out as soon as they are told.
  std::_Exit(right ? 0 : 1);
}

}  // namespace
}  // namespace millrace::chaos

int main(int argc, char** argv) { return millrace::chaos::Main(argc, argv); }
