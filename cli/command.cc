#include "cli/command.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/utf8.h"
#include "common/config/settings.h"

namespace millrace::cli {

CLI::App* AddSubcommand(CLI::App& app, std::string name, std::string description,
                        std::string_view examples) {
  CLI::App* command = app.add_subcommand(std::move(name), std::move(description));
  command->footer(absl::StrCat("Examples:\n", ToAbsl(examples)));
  return command;
}

void AddOutputOption(CLI::App& command, OutputFormat& format) {
  command
      .add_option_function<std::string>(
          "--output",
          [&format](const std::string& name) {
            format = name == "json" ? OutputFormat::kJson : OutputFormat::kTable;
          },
          "How data is printed: table or json")
      ->check(CLI::Validator(
          [](const std::string& name) {
            return name == "json" || name == "table" ? std::string()
                                                     : name + " is neither table nor json";
          },
          ""))
      ->type_name("FORMAT");
}

CLI::Validator AtLeast(int64_t least) {
  return CLI::Validator(
      [least](const std::string& text) {
        int64_t number = 0;
        return absl::SimpleAtoi(text, &number) && number >= least
                   ? std::string()
                   : absl::StrCat(text, " is not a whole number of at least ", least);
      },
      "");
}

void AddDriverOption(CLI::App& command, std::string& address) {
  address = "localhost:7070";
  command
      .add_option("--driver", address,
                  "Where the driver listens; with standbys all addresses, separated by commas")
      ->envname("MILLRACE_DRIVER")
      ->type_name("HOST:PORT[,…]")
      ->capture_default_str();
}

void AddSetOption(CLI::App& command, std::vector<std::string>& settings) {
  command
      .add_option("--set", settings, "A job setting; wins over the script's SET. May be repeated")
      ->type_name("NAME=VALUE")
      ->expected(1)
      ->take_all();
}

absl::StatusOr<std::map<std::string, std::string>> ParseSettings(
    const std::vector<std::string>& settings) {
  std::map<std::string, std::string> map;
  JobSettings checked;
  for (const std::string& setting : settings) {
    const size_t equals = setting.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--set ", setting, ": expected NAME=VALUE, e.g. --set batch_duration='500 ms'"));
    }
    const std::string name = setting.substr(0, equals);
    const std::string value = setting.substr(equals + 1);
    if (const absl::Status status = checked.Set(name, value); !status.ok()) {
      return Annotate(status, absl::StrCat("--set ", setting));
    }
    map[name] = value;
  }
  return map;
}

namespace {

// A script that is not UTF-8 could not be sent to a driver.
absl::StatusOr<std::string> CheckedScript(const std::string& path, std::string text) {
  if (const size_t bad = FindInvalidUtf8(text); bad != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("the script ", path == "-" ? "on standard input" : path,
                     " is not UTF-8: byte ", bad + 1, ", in line ",
                     std::count(text.begin(), text.begin() + static_cast<int64_t>(bad), '\n') + 1));
  }
  return text;
}

}  // namespace

absl::StatusOr<std::string> ReadScript(const std::string& path) {
  std::ostringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
    return CheckedScript(path, std::move(text).str());
  }
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError(
        absl::StrCat("cannot read the script ", path, ": ", std::strerror(errno)));
  }
  text << file.rdbuf();
  if (file.bad() || text.fail()) {
    return absl::NotFoundError(
        absl::StrCat("cannot read the script ", path, ": it is empty or not a file"));
  }
  return CheckedScript(path, std::move(text).str());
}

absl::Status InScript(const absl::Status& status, const std::string& path) {
  return Annotate(status, path == "-" ? "standard input" : path);
}

}  // namespace millrace::cli
