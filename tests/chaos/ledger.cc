#include "tests/chaos/ledger.h"

#include <algorithm>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace millrace::chaos {
namespace {

constexpr int kWaitMs = 10;
constexpr int64_t kProgressUs = 1000000;
constexpr int64_t kBarrierUs = 2000000;
constexpr int64_t kFilesUs = 100000;
constexpr int64_t kCompleteUs = 100000;
constexpr int kQueryMs = 5000;
constexpr int64_t kCatchUpUs = 60000000;

bool Due(int64_t now, int64_t period, int64_t* next) {
  if (now < *next) {
    return false;
  }
  *next = now + period;
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Ledger>> Ledger::Create(const LedgerOptions& options,
                                                       Events* events) {
  std::unique_ptr<Ledger> ledger(new Ledger(options, events));
  std::vector<std::string> topics;
  for (const auto& [name, place] : options.outputs) {
    RETURN_IF_ERROR(ledger->AddOutput(name, place));
    if (ledger->outputs_.back()->files == nullptr) {
      ledger->of_topic_.push_back(ledger->outputs_.size() - 1);
      topics.push_back(place);
    }
  }
  ASSIGN_OR_RETURN(ledger->topics_, TopicReader::Create(options.generator.bootstrap, topics,
                                                        options.truth.partitions));
  Ledger* self = ledger.get();
  ledger->source_findings_ = std::make_unique<Findings>();
  ASSIGN_OR_RETURN(
      ledger->generator_,
      Generator::Start(ledger->truth_, options.generator, [self](const std::string& text) {
        std::lock_guard<std::mutex> lock(self->source_mutex_);
        self->source_findings_->Add(Fault::kWrong, text);
        self->events_.Tell("violation", {{"output", "source"}, {"fault", "wrong"}, {"text", text}});
      }));
  return ledger;
}

absl::Status Ledger::AddOutput(const std::string& name, const std::string& place) {
  auto output = std::make_unique<Output>();
  output->name = name;
  output->shown.assign(static_cast<size_t>(truth_.partitions), 0);
  output->tells_records = name != "histogram";
  output->findings = std::make_unique<Findings>([this, name](Fault fault, const std::string& text) {
    events_.Tell("violation", {{"output", name}, {"fault", FaultName(fault)}, {"text", text}});
  });
  Output* raw = output.get();
  output->check = NewCheck(name, truth_, raw->findings.get(), [this, raw](int32_t p, int64_t n) {
    int64_t& shown = raw->shown[static_cast<size_t>(p)];
    shown = std::max(shown, n + 1);
    if (const int64_t sent = generator_->SentAt(p, n); sent > 0) {
      raw->latency.Add(SteadyMicros() - sent);
    }
  });
  if (output->check == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat("no output is called ", name));
  }
  if (absl::EndsWith(name, "_files")) {
    output->files = std::make_unique<FileReader>(place);
  }
  outputs_.push_back(std::move(output));
  return absl::OkStatus();
}

void Ledger::Command(const std::string& line) {
  std::lock_guard<std::mutex> lock(mutex_);
  commands_.push_back(line);
}

bool Ledger::Run() {
  while (!finish_) {
    ReadTopics();
    const int64_t now = SteadyMicros();
    if (Due(now, kFilesUs, &next_files_us_)) {
      ReadFiles();
      // Thousands of files take a while to look at; the topics come first.
      next_files_us_ = std::max(next_files_us_, now + 20 * (SteadyMicros() - now));
    }
    CheckMarks();
    CheckBarrier();
    if (Due(now, kProgressUs, &next_progress_us_)) {
      TellProgress();
    }
    if (Due(now, kCompleteUs, &next_complete_us_)) {
      CheckStopped();
    }
    DoCommands();
  }
  generator_->Stop();
  while (!generator_->finished()) {
    ReadTopics();
  }
  if (!CatchUp()) {
    std::lock_guard<std::mutex> lock(source_mutex_);
    source_findings_->Add(Fault::kWrong, "");
    events_.Tell("violation", {{"output", "source"},
                               {"fault", "wrong"},
                               {"text", "the outputs could not be read to their end"}});
  }
  return TellResults();
}

void Ledger::ReadTopics() {
  topics_->Poll(kWaitMs, [this](const TopicRecord& record) {
    Output& output = *outputs_[of_topic_[record.topic]];
    ++output.records;
    const std::string where =
        absl::StrCat("partition ", record.partition, " offset ", record.offset);
    output.check->Add({record.partition, record.key, record.value, where});
  });
}

void Ledger::ReadFiles() {
  for (const auto& output : outputs_) {
    if (output->files != nullptr) {
      output->files->Poll([&](int file, std::string_view line, std::string_view name) {
        ++output->records;
        output->check->Add({file, {}, line, name});
      });
    }
  }
}

void Ledger::DoCommands() {
  std::vector<std::string> commands;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    commands.swap(commands_);
  }
  for (const std::string& line : commands) {
    Do(line);
  }
}

void Ledger::Do(const std::string& line) {
  const size_t blank = line.find(' ');
  const std::string word = line.substr(0, blank);
  const std::string rest = blank == std::string::npos ? "" : line.substr(blank + 1);
  if (word == "rate") {
    generator_->SetRate(std::atof(rest.c_str()));
  } else if (word == "mark") {
    marks_.push_back({rest, SteadyMicros(), generator_->Produced()});
  } else if (word == "forget") {
    for (const auto& output : outputs_) {
      output->latency = LatencyHistogram();
    }
  } else if (word == "stop") {
    generator_->Stop();
  } else if (word == "finish") {
    finish_ = true;
  } else {
    events_.Tell("error", {{"text", absl::StrCat("unknown command: ", line)}});
  }
}

bool Ledger::Shows(const Output& output, const Counts& sent, bool everywhere) const {
  const auto went_on = [&](size_t p) { return output.shown[p] > sent[p]; };
  size_t partitions = 0;
  for (size_t p = 0; p < sent.size(); ++p) {
    partitions += went_on(p) ? 1 : 0;
  }
  return everywhere ? partitions == sent.size() : partitions > 0;
}

void Ledger::CheckMarks() {
  const int64_t now = SteadyMicros();
  for (auto mark = marks_.begin(); mark != marks_.end();) {
    bool all = true;
    for (const auto& output : outputs_) {
      if (!output->tells_records) {
        continue;
      }
      if (mark->first_us == 0 && Shows(*output, mark->sent, /*everywhere=*/false)) {
        mark->first_us = now;
      }
      all = all && Shows(*output, mark->sent, /*everywhere=*/true);
    }
    if (!all) {
      ++mark;
      continue;
    }
    events_.Tell("mark", {{"id", mark->id},
                          {"first_ms", static_cast<double>(mark->first_us - mark->at_us) / 1000},
                          {"all_ms", static_cast<double>(now - mark->at_us) / 1000}});
    mark = marks_.erase(mark);
  }
}

// Append outputs, while the job runs: a record that is out means that all before it are.
void Ledger::CheckBarrier() {
  if (!barrier_) {
    if (!Due(SteadyMicros(), kBarrierUs, &next_barrier_us_)) {
      return;
    }
    barrier_.emplace();
    for (const auto& output : outputs_) {
      barrier_->frontiers.push_back(output->files ? Counts() : output->check->Frontier());
    }
    barrier_->answer =
        std::async(std::launch::async, [this] { return topics_->StableEnds(kQueryMs); });
    return;
  }
  if (barrier_->answer.valid()) {
    if (barrier_->answer.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      return;
    }
    barrier_->ends = barrier_->answer.get();
  }
  if (!barrier_->ends) {
    barrier_.reset();
  } else if (topics_->HasReached(*barrier_->ends)) {
    for (size_t i = 0; i < outputs_.size(); ++i) {
      if (!barrier_->frontiers[i].empty()) {
        outputs_[i]->check->ExpectBelow(barrier_->frontiers[i]);
      }
    }
    barrier_.reset();
  }
}

void Ledger::CheckStopped() {
  if (!generator_->finished() || told_complete_) {
    return;
  }
  const Counts produced = generator_->Produced();
  if (!told_stopped_) {
    told_stopped_ = true;
    events_.Tell("stopped", {{"produced", produced}});
  }
  for (const auto& output : outputs_) {
    if (!output->check->Complete(produced)) {
      return;
    }
  }
  told_complete_ = true;
  events_.Tell("complete", nlohmann::ordered_json::object());
}

void Ledger::TellProgress() {
  const Counts produced = generator_->Produced();
  nlohmann::ordered_json outputs = nlohmann::ordered_json::object();
  for (const auto& output : outputs_) {
    int64_t behind = 0;
    for (size_t p = 0; p < produced.size(); ++p) {
      behind = std::max(behind, produced[p] - output->shown[p]);
    }
    outputs[output->name] = {{"records", output->records},
                             {"behind", output->tells_records ? behind : 0},
                             {"violations", output->findings->total()}};
  }
  events_.Tell(
      "progress",
      {{"produced", produced}, {"acknowledged", generator_->acknowledged()}, {"outputs", outputs}});
}

bool Ledger::CatchUp() {
  const int64_t deadline = SteadyMicros() + kCatchUpUs;
  std::optional<TopicReader::Offsets> ends;
  while (SteadyMicros() < deadline) {
    if (!ends) {
      ends = topics_->StableEnds(kQueryMs);
    } else if (topics_->HasReached(*ends)) {
      ReadFiles();
      return true;
    }
    ReadTopics();
  }
  return false;
}

bool Ledger::TellResults() {
  const Counts produced = generator_->Produced();
  int64_t sent = 0;
  for (const int64_t count : produced) {
    sent += count;
  }
  bool right = generator_->acknowledged() == sent;
  nlohmann::ordered_json outputs = nlohmann::ordered_json::object();
  for (const auto& output : outputs_) {
    output->check->Finish(produced);
    if (output->files != nullptr && !output->files->Torn().empty()) {
      output->findings->Add(Fault::kWrong,
                            absl::StrCat("unfinished lines in ", output->files->Torn()));
    }
    nlohmann::ordered_json result = {{"records", output->records}};
    for (const Fault fault : {Fault::kLost, Fault::kDuplicated, Fault::kRegressed, Fault::kWrong}) {
      result[FaultName(fault)] = output->findings->count(fault);
    }
    result["latency_ms"] = {{"count", output->latency.count()},  {"p50", output->latency.Ms(0.5)},
                            {"p90", output->latency.Ms(0.9)},    {"p99", output->latency.Ms(0.99)},
                            {"p999", output->latency.Ms(0.999)}, {"max", output->latency.Ms(1)}};
    outputs[output->name] = result;
    right = right && output->findings->total() == 0;
  }
  std::lock_guard<std::mutex> lock(source_mutex_);
  right = right && source_findings_->total() == 0;
  events_.Tell("result", {{"right", right},
                          {"produced", produced},
                          {"acknowledged", generator_->acknowledged()},
                          {"outputs", outputs}});
  return right;
}

}  // namespace millrace::chaos
