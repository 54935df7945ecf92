// The ~ operators and the scalar regexp_… functions.
#include "common/expr/regex/regex.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/expr/functions/families.h"
#include "common/expr/functions/list_builder.h"
#include "common/expr/functions/regex_call.h"
#include "common/expr/text/utf8.h"

namespace millrace {
namespace {

constexpr SqlType kTextType = MakeType(TypeId::kText);
constexpr SqlType kInt32Type = MakeType(TypeId::kInt32);

using Spans = std::vector<Regex::Span>;

std::string_view TextOf(std::string_view text, const Regex::Span& span) {
  return text.substr(span.begin, span.end - span.begin);
}

// A strict function whose kernel does `row_fn(args, call, row, out)` → absl::Status for each row.
template <typename RowFn>
ScalarFunction RegexFunction(std::string name, std::vector<SqlType> arg_types, SqlType result,
                             const RegexSignature& signature, RowFn row_fn) {
  ScalarFunction function;
  function.name = std::move(name);
  function.arg_types = std::move(arg_types);
  function.result = result;
  function.bind = [signature](const std::vector<const Column*>& constants, const SqlType&) {
    return BindRegex(constants, signature);
  };
  function.kernel = [signature, row_fn](const std::vector<FunctionArg>& args,
                                        const FunctionCallContext& context, Column* out) {
    RegexCalls calls(args, context.state, signature);
    context.rows.ForEach([&](uint32_t row) {
      absl::StatusOr<const RegexCall*> call = calls.ForRow(row);
      absl::Status status = call.ok() ? row_fn(args, **call, row, out) : call.status();
      if (!status.ok()) {
        context.errors->Add(row, std::move(status));
      }
    });
  };
  return function;
}

std::string_view TextArg(const std::vector<FunctionArg>& args, size_t index, uint32_t row) {
  return args[index].value<TextView>(row).view();
}

void AddOperator(FunctionList* list, const char* name, bool ignore_case, bool negated) {
  list->Add(RegexFunction(
      name, {kTextType, kTextType}, MakeType(TypeId::kBool), {.ignore_case = ignore_case},
      [negated](const std::vector<FunctionArg>& args, const RegexCall& call, uint32_t row,
                Column* out) -> absl::Status {
        ASSIGN_OR_RETURN(const bool matches, call.regex->Contains(TextArg(args, 0, row)));
        out->mutable_values<uint8_t>()[row] = matches != negated ? 1 : 0;
        return absl::OkStatus();
      }));
}

// The replacement of one match: \1…\9 are groups, \& the whole, \\ a backslash.
void AppendReplacement(std::string_view text, std::string_view replacement, const Spans& spans,
                       std::string* out) {
  for (size_t i = 0; i < replacement.size(); ++i) {
    char c = replacement[i];
    if (c != '\\' || i + 1 == replacement.size()) {
      out->push_back(c);
      continue;
    }
    char next = replacement[i + 1];
    bool digit = next >= '1' && next <= '9';
    if (digit || next == '&') {
      size_t group = digit ? static_cast<size_t>(next - '0') : 0;
      if (group < spans.size() && spans[group].begin != std::string_view::npos) {
        out->append(TextOf(text, spans[group]));
      }
      ++i;
    } else {
      out->push_back(c);
      i += next == '\\' ? 1 : 0;
    }
  }
}

// Replaces matches from the `first`-th on: that one only, or all behind it too.
struct Replacing {
  size_t start = 0;  // byte where the search begins
  int64_t first = 1;
  bool all = false;
};

absl::StatusOr<std::string> ReplaceMatches(std::string_view text, const Regex& regex,
                                           std::string_view replacement,
                                           const Replacing& replacing) {
  bool uses_groups = replacement.find('\\') != std::string_view::npos;
  Spans spans(uses_groups ? static_cast<size_t>(regex.groups()) + 1 : 1);
  std::string out;
  size_t copied = 0;
  int64_t number = 0;
  RETURN_IF_ERROR(ForEachMatch(regex, text, replacing.start, &spans, [&](const Spans& match) {
    if (++number < replacing.first) {
      return true;
    }
    out.append(text.substr(copied, match[0].begin - copied));
    AppendReplacement(text, replacement, match, &out);
    copied = match[0].end;
    return replacing.all;
  }));
  out.append(text.substr(copied));
  return out;
}

// The byte where the `start`-th character begins; past the end when there are fewer.
absl::StatusOr<size_t> ByteOfStart(std::string_view text, int32_t start) {
  if (start < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid value for parameter \"start\": ", start));
  }
  size_t skipped = BytesOfChars(text, static_cast<size_t>(start) - 1);
  bool behind_end = skipped == text.size() && CountChars(text) + 1 < static_cast<size_t>(start);
  return behind_end ? text.size() + 1 : skipped;
}

void AddReplace(FunctionList* list) {
  auto simple = [](const std::vector<FunctionArg>& args, const RegexCall& call, uint32_t row,
                   Column* out) -> absl::Status {
    ASSIGN_OR_RETURN(const std::string replaced,
                     ReplaceMatches(TextArg(args, 0, row), *call.regex, TextArg(args, 2, row),
                                    {.all = call.global}));
    out->SetTextCopy(row, replaced);
    return absl::OkStatus();
  };
  // From the start-th character on, the n-th match (0 = all).
  auto positioned = [](const std::vector<FunctionArg>& args, const RegexCall& call, uint32_t row,
                       Column* out) -> absl::Status {
    std::string_view text = TextArg(args, 0, row);
    ASSIGN_OR_RETURN(size_t start, ByteOfStart(text, args[3].value<int32_t>(row)));
    int32_t n = args.size() > 4 ? args[4].value<int32_t>(row) : 1;
    if (n < 0) {
      return absl::InvalidArgumentError(absl::StrCat("invalid value for parameter \"n\": ", n));
    }
    ASSIGN_OR_RETURN(const std::string replaced,
                     ReplaceMatches(text, *call.regex, TextArg(args, 2, row),
                                    {.start = start, .first = std::max(n, 1), .all = n == 0}));
    out->SetTextCopy(row, replaced);
    return absl::OkStatus();
  };
  const SqlType text = kTextType;
  const SqlType integer = kInt32Type;
  list->Add(RegexFunction("regexp_replace", {text, text, text}, text, {.groups = true}, simple));
  list->Add(RegexFunction("regexp_replace", {text, text, text, text}, text,
                          {.flags_arg = 3, .groups = true}, simple));
  list->Add(RegexFunction("regexp_replace", {text, text, text, integer}, text, {.groups = true},
                          positioned));
  list->Add(RegexFunction("regexp_replace", {text, text, text, integer, integer}, text,
                          {.groups = true}, positioned));
  list->Add(RegexFunction("regexp_replace", {text, text, text, integer, integer, text}, text,
                          {.flags_arg = 5, .groups = true}, positioned));
}

void AddCount(FunctionList* list) {
  auto count = [](const std::vector<FunctionArg>& args, const RegexCall& call, uint32_t row,
                  Column* out) -> absl::Status {
    std::string_view text = TextArg(args, 0, row);
    size_t start = 0;
    if (args.size() > 2) {
      ASSIGN_OR_RETURN(start, ByteOfStart(text, args[2].value<int32_t>(row)));
    }
    Spans spans(1);
    int32_t matches = 0;
    RETURN_IF_ERROR(ForEachMatch(*call.regex, text, start, &spans,
                                 [&matches](const Spans&) { return ++matches > 0; }));
    out->mutable_values<int32_t>()[row] = matches;
    return absl::OkStatus();
  };
  const SqlType text = kTextType;
  list->Add(RegexFunction("regexp_count", {text, text}, kInt32Type, {}, count));
  list->Add(RegexFunction("regexp_count", {text, text, kInt32Type}, kInt32Type, {}, count));
  list->Add(RegexFunction("regexp_count", {text, text, kInt32Type, text}, kInt32Type,
                          {.flags_arg = 3, .refuses_global = "regexp_count"}, count));
}

void AddLikeAndSubstring(FunctionList* list) {
  auto like = [](const std::vector<FunctionArg>& args, const RegexCall& call, uint32_t row,
                 Column* out) -> absl::Status {
    ASSIGN_OR_RETURN(const bool matches, call.regex->Contains(TextArg(args, 0, row)));
    out->mutable_values<uint8_t>()[row] = matches ? 1 : 0;
    return absl::OkStatus();
  };
  const SqlType text = kTextType;
  const SqlType boolean = MakeType(TypeId::kBool);
  list->Add(RegexFunction("regexp_like", {text, text}, boolean, {}, like));
  list->Add(RegexFunction("regexp_like", {text, text, text}, boolean,
                          {.flags_arg = 2, .refuses_global = "regexp_like"}, like));
  // substring(text FROM pattern): the first group if there is one.
  auto substring = [](const std::vector<FunctionArg>& args, const RegexCall& call, uint32_t row,
                      Column* out) {
    std::string_view subject = TextArg(args, 0, row);
    Spans spans(call.regex->groups() > 0 ? 2 : 1);
    RegexSearch search(*call.regex, subject);
    if (search.Find(0, &spans) && spans.back().begin != std::string_view::npos) {
      out->mutable_values<TextView>()[row] = TextView(TextOf(subject, spans.back()));
    } else {
      out->SetNull(row);
    }
    return search.status();
  };
  list->Add(RegexFunction("substring", {text, text}, text, {.groups = true}, substring));
}

// regexp_substr(text, pattern [, start [, n [, flags [, subexpression]]]])
absl::Status SubstrRow(const std::vector<FunctionArg>& args, const RegexCall& call, uint32_t row,
                       Column* out) {
  std::string_view text = TextArg(args, 0, row);
  size_t start = 0;
  if (args.size() > 2) {
    ASSIGN_OR_RETURN(start, ByteOfStart(text, args[2].value<int32_t>(row)));
  }
  int32_t n = args.size() > 3 ? args[3].value<int32_t>(row) : 1;
  int32_t group = args.size() > 5 ? args[5].value<int32_t>(row) : 0;
  if (n < 1) {
    return absl::InvalidArgumentError(absl::StrCat("invalid value for parameter \"n\": ", n));
  }
  if (group < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("invalid value for parameter \"subexpr\": ", group));
  }
  out->SetNull(row);
  if (call.regex->groups() == 0 && group == 1) {
    group = 0;  // where there are none, the whole match counts as one
  }
  if (group > call.regex->groups()) {
    return absl::OkStatus();
  }
  Spans spans(static_cast<size_t>(group) + 1);
  int32_t number = 0;
  return ForEachMatch(*call.regex, text, start, &spans, [&](const Spans& match) {
    if (++number < n) {
      return true;
    }
    if (match.back().begin != std::string_view::npos) {
      out->SetValid(row);
      out->mutable_values<TextView>()[row] = TextView(TextOf(text, match.back()));
    }
    return false;
  });
}

void AddSubstr(FunctionList* list) {
  const SqlType text = kTextType;
  const SqlType integer = kInt32Type;
  list->Add(RegexFunction("regexp_substr", {text, text}, text, {}, SubstrRow));
  list->Add(RegexFunction("regexp_substr", {text, text, integer}, text, {}, SubstrRow));
  list->Add(RegexFunction("regexp_substr", {text, text, integer, integer}, text, {}, SubstrRow));
  list->Add(RegexFunction("regexp_substr", {text, text, integer, integer, text}, text,
                          {.flags_arg = 4, .refuses_global = "regexp_substr"}, SubstrRow));
  list->Add(RegexFunction("regexp_substr", {text, text, integer, integer, text, integer}, text,
                          {.flags_arg = 4, .groups = true, .refuses_global = "regexp_substr"},
                          SubstrRow));
}

// A strict function to text[] whose rows are built by `row_fn(text, call, row, builder)` →
// absl::Status.
template <typename RowFn>
ScalarFunction ListFunction(std::string name, std::vector<SqlType> arg_types,
                            const RegexSignature& signature, RowFn row_fn) {
  ScalarFunction function;
  function.name = std::move(name);
  function.arg_types = std::move(arg_types);
  function.result = ArrayOf(TypeId::kText);
  function.bind = [signature](const std::vector<const Column*>& constants, const SqlType&) {
    return BindRegex(constants, signature);
  };
  function.kernel = [signature, row_fn](const std::vector<FunctionArg>& args,
                                        const FunctionCallContext& context, Column* out) {
    RegexCalls calls(args, context.state, signature);
    TextListBuilder builder(out);
    context.rows.ForEach([&](uint32_t row) {
      absl::StatusOr<const RegexCall*> call = calls.ForRow(row);
      if (!call.ok()) {
        context.errors->Add(row, call.status());
        return;
      }
      absl::Status status = row_fn(TextArg(args, 0, row), **call, row, &builder);
      if (!status.ok()) {
        builder.DropList();
        context.errors->Add(row, std::move(status));
      }
    });
    builder.Finish({args[0].column});
  };
  return function;
}

// regexp_match: the groups of the first match, or the whole of it where there are none; NULL
// without a match.
void AddMatch(FunctionList* list) {
  auto match = [](std::string_view text, const RegexCall& call, uint32_t row,
                  TextListBuilder* builder) -> absl::Status {
    auto groups = static_cast<size_t>(call.regex->groups());
    Spans spans(groups + 1);
    RegexSearch search(*call.regex, text);
    if (!search.Find(0, &spans)) {
      builder->AddNullList(row);
      return search.status();
    }
    for (size_t i = groups == 0 ? 0 : 1; i < spans.size(); ++i) {
      if (spans[i].begin == std::string_view::npos) {
        builder->AddNull();
      } else {
        builder->Add(TextOf(text, spans[i]));
      }
    }
    builder->EndList(row);
    return absl::OkStatus();
  };
  list->Add(ListFunction("regexp_match", {kTextType, kTextType}, {.groups = true}, match));
  list->Add(ListFunction("regexp_match", {kTextType, kTextType, kTextType},
                         {.flags_arg = 2, .groups = true, .refuses_global = "regexp_match"},
                         match));
  auto split = [](std::string_view text, const RegexCall& call, uint32_t row,
                  TextListBuilder* builder) -> absl::Status {
    RETURN_IF_ERROR(ForEachPiece(*call.regex, text,
                                 [builder](std::string_view piece) { builder->Add(piece); }));
    builder->EndList(row);
    return absl::OkStatus();
  };
  list->Add(ListFunction("regexp_split_to_array", {kTextType, kTextType}, {}, split));
  list->Add(ListFunction("regexp_split_to_array", {kTextType, kTextType, kTextType},
                         {.flags_arg = 2, .refuses_global = "regexp_split_to_array"}, split));
}

}  // namespace

void AddRegex(FunctionList* list) {
  AddOperator(list, "~", false, false);
  AddOperator(list, "!~", false, true);
  AddOperator(list, "~*", true, false);
  AddOperator(list, "!~*", true, true);
  AddReplace(list);
  AddCount(list);
  AddLikeAndSubstring(list);
  AddSubstr(list);
  AddMatch(list);
}

}  // namespace millrace
