#include "tests/logic/slt_file.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status.h"

namespace millrace {
namespace {

struct Paragraph {
  int line = 0;
  std::vector<std::string> lines;
};

std::vector<Paragraph> SplitParagraphs(std::string_view text) {
  std::vector<Paragraph> paragraphs;
  Paragraph current;
  int number = 0;
  const auto finish = [&] {
    if (!current.lines.empty()) {
      paragraphs.push_back(std::move(current));
    }
    current = Paragraph();
  };
  for (const absl::string_view view : absl::StrSplit(ToAbsl(text), '\n')) {
    std::string line(view);
    ++number;
    if (line.empty()) {
      finish();
    } else if (!current.lines.empty() || line[0] != '#') {
      current.line = current.lines.empty() ? number : current.line;
      current.lines.push_back(std::move(line));
    }
  }
  finish();
  return paragraphs;
}

std::string JoinFrom(const std::vector<std::string>& lines, size_t begin, size_t end) {
  return absl::StrJoin(lines.begin() + static_cast<ptrdiff_t>(begin),
                       lines.begin() + static_cast<ptrdiff_t>(end), "\n");
}

// "(a int) error REGEX" in its two parts.
void SplitHead(absl::string_view head, SltQuery* query) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(head, absl::MaxSplits(" error ", 1));
  query->columns = std::string(parts.first);
  query->error = std::string(parts.second);
}

SltQuery ParseQuery(const Paragraph& paragraph, absl::string_view head) {
  SltQuery query{.line = paragraph.line};
  SplitHead(head, &query);
  size_t end = 1;
  while (end < paragraph.lines.size() && paragraph.lines[end] != "----") {
    ++end;
  }
  query.sql = JoinFrom(paragraph.lines, 1, end);
  for (size_t i = end + 1; i < paragraph.lines.size(); ++i) {
    query.rows.push_back(paragraph.lines[i]);
  }
  return query;
}

SltTable ParseTable(const Paragraph& paragraph, absl::string_view head) {
  const size_t space = head.find(' ');
  SltTable table{.name = std::string(head.substr(0, space)),
                 .columns = std::string(head.substr(space + 1))};
  for (size_t i = 1; i < paragraph.lines.size(); ++i) {
    absl::StrAppend(&table.csv, paragraph.lines[i], "\n");
  }
  return table;
}

}  // namespace

absl::StatusOr<SltFile> ParseSlt(std::string_view text) {
  SltFile file;
  for (const Paragraph& paragraph : SplitParagraphs(text)) {
    absl::string_view head = paragraph.lines[0];
    SltQuery query{.line = paragraph.line};
    if (absl::ConsumePrefix(&head, "table ")) {
      file.tables.push_back(ParseTable(paragraph, head));
      continue;
    }
    if (head == "statement ok") {
      file.statements.push_back(JoinFrom(paragraph.lines, 1, paragraph.lines.size()));
      continue;
    }
    if (absl::ConsumePrefix(&head, "statement error ")) {
      query.sql = JoinFrom(paragraph.lines, 1, paragraph.lines.size());
      query.error = std::string(head);
      query.refused = true;
    } else if (absl::ConsumePrefix(&head, "query ")) {
      query = ParseQuery(paragraph, head);
    } else {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", paragraph.line, ": not understood: ", head));
    }
    query.tables = file.tables.size();
    query.statements = file.statements.size();
    file.queries.push_back(std::move(query));
  }
  return file;
}

}  // namespace millrace
