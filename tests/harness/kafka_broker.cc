#include "tests/harness/kafka_broker.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/steady_time.h"
#include "connectors/kafka/admin/admin.h"

namespace millrace {
namespace {

// Any 22 characters of base64 that decode to 16 bytes will do.
constexpr char kClusterId[] = "MillraceTestsClusterAA";
constexpr char kDirectoryId[] = "MillraceTestsFolderAAA";

int FreePort() {
  int socket_fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  MILLRACE_CHECK(bind(socket_fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0)
      << strerror(errno);
  socklen_t size = sizeof(address);
  MILLRACE_CHECK(getsockname(socket_fd, reinterpret_cast<sockaddr*>(&address), &size) == 0)
      << strerror(errno);
  close(socket_fd);
  return ntohs(address.sin_port);
}

std::string FindJars() {
  std::vector<std::string> places;
  if (const char* runfiles = std::getenv("TEST_SRCDIR"); runfiles != nullptr) {
    places.push_back(absl::StrCat(runfiles, "/kafka/jars"));
    places.push_back(absl::StrCat(runfiles, "/millrace/external/kafka/jars"));
  }
  places.push_back("external/kafka/jars");
  places.push_back("../kafka/jars");
  for (const std::string& place : places) {
    if (std::filesystem::is_directory(place)) {
      return std::filesystem::absolute(place).string();
    }
  }
  return "";
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path);
  file << text;
}

}  // namespace

const KafkaBroker& KafkaBroker::Shared() {
  // Never destroyed: the kernel ends the broker with the program.
  static const auto& started = *new absl::StatusOr<std::unique_ptr<KafkaBroker>>(Start());
  MILLRACE_CHECK(started.ok()) << started.status();
  return **started;
}

absl::StatusOr<std::unique_ptr<KafkaBroker>> KafkaBroker::Start(const KafkaBrokerOptions& options) {
  std::unique_ptr<KafkaBroker> broker(new KafkaBroker());
  broker->options_ = options;
  broker->jars_ = FindJars();
  if (broker->jars_.empty()) {
    return absl::NotFoundError(
        "no Kafka jars in the runfiles: the test needs data = [\"@kafka//:jars\"]");
  }
  const char* temporary = std::getenv("TEST_TMPDIR");
  std::string pattern = absl::StrCat(temporary == nullptr ? "/tmp" : temporary, "/kafka-XXXXXX");
  if (mkdtemp(pattern.data()) == nullptr) {
    return absl::UnavailableError(absl::StrCat("no directory ", pattern, ": ", strerror(errno)));
  }
  broker->directory_ = pattern;
  broker->ChoosePorts();
  RETURN_IF_ERROR(broker->Prepare());
  RETURN_IF_ERROR(broker->Launch());
  RETURN_IF_ERROR(broker->WaitUntilReady());
  return broker;
}

KafkaBroker::~KafkaBroker() {
  Kill();
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

void KafkaBroker::ChoosePorts() {
  port_ = FreePort();
  do {
    controller_port_ = FreePort();
  } while (controller_port_ == port_);
  bootstrap_servers_ = absl::StrCat("127.0.0.1:", port_);
}

absl::Status KafkaBroker::Prepare() {
  std::map<std::string, std::string> properties = {
      {"process.roles", "broker,controller"},
      {"node.id", "1"},
      {"controller.quorum.voters", absl::StrCat("1@127.0.0.1:", controller_port_)},
      {"listeners",
       absl::StrCat("PLAINTEXT://127.0.0.1:", port_, ",CONTROLLER://127.0.0.1:", controller_port_)},
      {"advertised.listeners", absl::StrCat("PLAINTEXT://127.0.0.1:", port_)},
      {"listener.security.protocol.map", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT"},
      {"controller.listener.names", "CONTROLLER"},
      {"log.dirs", directory_ + "/logs"},
      {"num.network.threads", "2"},
      {"num.io.threads", "4"},
      {"auto.create.topics.enable", "false"},
      {"offsets.topic.replication.factor", "1"},
      {"offsets.topic.num.partitions", "4"},
      {"transaction.state.log.replication.factor", "1"},
      {"transaction.state.log.min.isr", "1"},
      {"transaction.state.log.num.partitions", "4"},
      {"group.initial.rebalance.delay.ms", "0"},
      // A broker that was killed may come back once its old registration has run out.
      {"broker.session.timeout.ms", "3000"},
      {"broker.heartbeat.interval.ms", "500"},
      {"log.initial.task.delay.ms", "100"},
      {"log.segment.delete.delay.ms", "100"},
  };
  for (const auto& [name, value] : options_.server_properties) {
    properties[name] = value;
  }
  std::string text;
  for (const auto& [name, value] : properties) {
    absl::StrAppend(&text, name, "=", value, "\n");
  }
  WriteFile(directory_ + "/server.properties", text);
  WriteFile(directory_ + "/log4j.properties",
            "log4j.rootLogger=WARN, out\n"
            "log4j.appender.out=org.apache.log4j.ConsoleAppender\n"
            "log4j.appender.out.layout=org.apache.log4j.PatternLayout\n"
            "log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n\n");
  // What `kafka-storage format` writes; running it would be one more JVM.
  std::filesystem::create_directories(directory_ + "/logs");
  WriteFile(directory_ + "/logs/meta.properties",
            absl::StrCat("version=1\nnode.id=1\ncluster.id=", kClusterId,
                         "\ndirectory.id=", kDirectoryId, "\n"));
  return absl::OkStatus();
}

absl::Status KafkaBroker::Launch() {
  std::vector<std::string> words = {
      "java",
      "-Xmx" + options_.heap,
      "-Xms128m",
      "-XX:+UseSerialGC",
      "-XX:-UsePerfData",
      "-Xshare:auto",
      "-Dlog4j.configuration=file:" + directory_ + "/log4j.properties",
      "-cp",
      jars_ + "/*",
      "kafka.Kafka",
      directory_ + "/server.properties"};
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  std::string log = directory_ + "/broker.log";
  pid_t parent = getpid();
  pid_ = fork();
  if (pid_ < 0) {
    return absl::ResourceExhaustedError(absl::StrCat("fork: ", strerror(errno)));
  }
  if (pid_ == 0) {  // only calls that are safe between fork and exec
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
      _exit(1);
    }
    int out = open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    dup2(out, 1);
    dup2(out, 2);
    execvp(arguments[0], arguments.data());
    _exit(127);
  }
  return absl::OkStatus();
}

absl::Status KafkaBroker::WaitUntilReady() {
  absl::Time deadline = SteadyNow() + options_.start_timeout;
  ASSIGN_OR_RETURN(std::unique_ptr<kafka::KafkaAdmin> admin,
                   kafka::KafkaAdmin::Create({{"bootstrap.servers", bootstrap_servers_}}));
  while (true) {
    int status = 0;
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return absl::InternalError(absl::StrCat("the Kafka broker ended at once (status ", status,
                                              "; is Java 17 there?)\n", LogTail()));
    }
    absl::Status answer = admin->ListTopics(absl::Seconds(1)).status();
    if (answer.ok()) {
      return absl::OkStatus();
    }
    if (SteadyNow() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("the Kafka broker does not answer: ", answer.message(), "\n", LogTail()));
    }
  }
}

void KafkaBroker::Kill() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

void KafkaBroker::Pause() {
  MILLRACE_CHECK(pid_ > 0) << "no broker";
  kill(pid_, SIGSTOP);
  int status = 0;
  MILLRACE_CHECK(waitpid(pid_, &status, WUNTRACED) == pid_ && WIFSTOPPED(status))
      << "the broker has ended: " << LogTail();
}

void KafkaBroker::Resume() { kill(pid_, SIGCONT); }

void KafkaBroker::Shutdown() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

absl::Status KafkaBroker::Restart() {
  MILLRACE_CHECK(pid_ < 0) << "the broker is running";
  RETURN_IF_ERROR(Launch());
  return WaitUntilReady();
}

std::string KafkaBroker::LogTail() const {
  std::ifstream file(directory_ + "/broker.log");
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  constexpr size_t kTail = 4000;
  return text.size() > kTail ? text.substr(text.size() - kTail) : text;
}

}  // namespace millrace
