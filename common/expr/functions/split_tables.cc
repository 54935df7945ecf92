// regexp_split_to_table, regexp_matches and string_to_table: text to rows. Pieces are views into
// the input's text.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/expr/functions/families.h"
#include "common/expr/functions/list_builder.h"
#include "common/expr/functions/regex_call.h"
#include "common/expr/regex/byte_splitter.h"
#include "common/expr/regex/regex.h"
#include "common/expr/text/utf8.h"

namespace millrace {
namespace {

constexpr SqlType kTextType = MakeType(TypeId::kText);

// For plain separators: counts the pieces first, so that every piece is written once, to its final
// place.
void SplitFast(const ByteSplitter& splitter, const FunctionArg& text, RowSet rows,
               std::vector<uint32_t>* parents, std::vector<ColumnPtr>* out) {
  size_t total = 0;
  rows.ForEach(
      [&](uint32_t row) { total += splitter.CountPieces(text.value<TextView>(row).view()); });
  parents->resize(total);
  auto column = std::make_shared<Column>(kTextType, total);
  TextView* values = column->mutable_values<TextView>();
  TextView* next = values;
  uint32_t* parent = parents->data();
  rows.ForEach([&](uint32_t row) {
    next = splitter.Split(text.value<TextView>(row).view(), next);
    uint32_t* end = parents->data() + (next - values);
    for (; parent != end; ++parent) {
      *parent = row;
    }
  });
  column->ShareOwners(*text.column);
  out->push_back(std::move(column));
}

// Collects rows of text views.
class TextRows {
 public:
  explicit TextRows(std::vector<uint32_t>* parents) : parents_(parents) {}

  void Add(uint32_t parent, std::string_view text) {
    parents_->push_back(parent);
    values_.emplace_back(text);
  }
  void AddNull(uint32_t parent) {
    nulls_.push_back(static_cast<uint32_t>(values_.size()));
    Add(parent, "");
  }
  // Forgets the rows of `parent`, the last one that rows were added for: it failed half-way.
  void Drop(uint32_t parent) {
    while (!parents_->empty() && parents_->back() == parent) {
      parents_->pop_back();
      values_.pop_back();
    }
    while (!nulls_.empty() && nulls_.back() >= values_.size()) {
      nulls_.pop_back();
    }
  }
  ColumnPtr Finish(const Column& source) {
    auto column = std::make_shared<Column>(kTextType, values_.size());
    std::copy(values_.begin(), values_.end(), column->mutable_values<TextView>());
    for (uint32_t null : nulls_) {
      column->SetNull(null);
    }
    column->ShareOwners(source);
    return column;
  }

 private:
  std::vector<uint32_t>* parents_;
  std::vector<TextView> values_;
  std::vector<uint32_t> nulls_;
};

void AddRegexSplit(FunctionList* list, std::vector<SqlType> arg_types,
                   const RegexSignature& signature) {
  TableFunctionDef function;
  function.name = "regexp_split_to_table";
  function.arg_types = std::move(arg_types);
  function.column_types = {kTextType};
  function.column_names = {"regexp_split_to_table"};
  function.bind = [signature](const std::vector<const Column*>& constants) {
    return BindRegex(constants, signature);
  };
  function.kernel = [signature](const std::vector<FunctionArg>& args,
                                const FunctionCallContext& context, std::vector<uint32_t>* parents,
                                std::vector<ColumnPtr>* out) {
    const auto* bound = static_cast<const RegexCall*>(context.state);
    if (bound != nullptr && bound->splitter.has_value()) {
      SplitFast(*bound->splitter, args[0], context.rows, parents, out);
      return;
    }
    RegexCalls calls(args, context.state, signature);
    TextRows rows(parents);
    context.rows.ForEach([&](uint32_t row) {
      absl::StatusOr<const RegexCall*> call = calls.ForRow(row);
      if (!call.ok()) {
        context.errors->Add(row, call.status());
        return;
      }
      absl::Status status = ForEachPiece(*(*call)->regex, args[0].value<TextView>(row).view(),
                                         [&](std::string_view piece) { rows.Add(row, piece); });
      if (!status.ok()) {
        rows.Drop(row);
        context.errors->Add(row, std::move(status));
      }
    });
    out->push_back(rows.Finish(*args[0].column));
  };
  list->Add(std::move(function));
}

// The pieces of `text` between a delimiter; each character for a NULL delimiter, all for an empty
// one.
template <typename Fn>
void ForEachDelimited(std::string_view text, const std::string_view* delimiter, Fn&& fn) {
  if (text.empty()) {
    return;
  }
  if (delimiter == nullptr) {
    while (!text.empty()) {
      size_t bytes = FirstCharBytes(text);
      fn(text.substr(0, bytes));
      text.remove_prefix(bytes);
    }
    return;
  }
  while (!delimiter->empty()) {
    size_t at = text.find(*delimiter);
    if (at == std::string_view::npos) {
      break;
    }
    fn(text.substr(0, at));
    text.remove_prefix(at + delimiter->size());
  }
  fn(text);
}

// Shared by string_to_table and string_to_array: fn(piece, is_null) for each piece of a row.
template <typename Fn>
void SplitRow(const std::vector<FunctionArg>& args, uint32_t row, Fn&& fn) {
  std::string_view delimiter;
  bool by_character = args[1].IsNull(row);
  if (!by_character) {
    delimiter = args[1].value<TextView>(row).view();
  }
  bool has_null_text = args.size() > 2 && !args[2].IsNull(row);
  std::string_view null_text =
      has_null_text ? args[2].value<TextView>(row).view() : std::string_view();
  ForEachDelimited(args[0].value<TextView>(row).view(), by_character ? nullptr : &delimiter,
                   [&](std::string_view piece) { fn(piece, has_null_text && piece == null_text); });
}

void AddStringToTable(FunctionList* list, std::vector<SqlType> arg_types) {
  TableFunctionDef function;
  function.name = "string_to_table";
  function.arg_types = std::move(arg_types);
  function.column_types = {kTextType};
  function.column_names = {"string_to_table"};
  function.strict = false;
  function.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                       std::vector<uint32_t>* parents, std::vector<ColumnPtr>* out) {
    TextRows rows(parents);
    context.rows.ForEach([&](uint32_t row) {
      if (args[0].IsNull(row)) {
        return;
      }
      SplitRow(args, row, [&](std::string_view piece, bool null) {
        null ? rows.AddNull(row) : rows.Add(row, piece);
      });
    });
    out->push_back(rows.Finish(*args[0].column));
  };
  list->Add(std::move(function));
}

void AddStringToArray(FunctionList* list, std::vector<SqlType> arg_types) {
  ScalarFunction function;
  function.name = "string_to_array";
  function.arg_types = std::move(arg_types);
  function.result = ArrayOf(TypeId::kText);
  function.strict = false;
  function.infallible = true;
  function.kernel = [](const std::vector<FunctionArg>& args, const FunctionCallContext& context,
                       Column* out) {
    TextListBuilder builder(out);
    context.rows.ForEach([&](uint32_t row) {
      if (args[0].IsNull(row)) {
        builder.AddNullList(row);
        return;
      }
      SplitRow(args, row, [&](std::string_view piece, bool null) {
        null ? builder.AddNull() : builder.Add(piece);
      });
      builder.EndList(row);
    });
    builder.Finish({args[0].column});
  };
  list->Add(std::move(function));
}

// Builds rows of text[], one match each.
class ListRows {
 public:
  explicit ListRows(std::vector<uint32_t>* parents) : parents_(parents) {}

  // Adds the groups of a match, or the whole match if the pattern has no groups.
  void Add(uint32_t parent, std::string_view text, const std::vector<Regex::Span>& match) {
    const auto begin = static_cast<uint32_t>(elements_.size());
    for (size_t i = match.size() == 1 ? 0 : 1; i < match.size(); ++i) {
      if (match[i].begin == std::string_view::npos) {
        nulls_.push_back(static_cast<uint32_t>(elements_.size()));
        elements_.emplace_back();
      } else {
        elements_.emplace_back(text.substr(match[i].begin, match[i].end - match[i].begin));
      }
    }
    lists_.push_back({.begin = begin, .size = static_cast<uint32_t>(elements_.size()) - begin});
    parents_->push_back(parent);
  }
  // Forgets the rows of `parent`, the last one that rows were added for: it failed half-way. Their
  // elements stay, where no list shows them.
  void Drop(uint32_t parent) {
    while (!parents_->empty() && parents_->back() == parent) {
      parents_->pop_back();
      lists_.pop_back();
    }
  }
  ColumnPtr Finish(const Column& source) {
    auto child = std::make_shared<Column>(kTextType, elements_.size());
    std::copy(elements_.begin(), elements_.end(), child->mutable_values<TextView>());
    for (uint32_t null : nulls_) {
      child->SetNull(null);
    }
    child->ShareOwners(source);
    auto column = std::make_shared<Column>(ArrayOf(TypeId::kText), lists_.size());
    std::copy(lists_.begin(), lists_.end(), column->mutable_values<ListView>());
    column->set_child(std::move(child));
    return column;
  }

 private:
  std::vector<uint32_t>* parents_;
  std::vector<ListView> lists_;
  std::vector<TextView> elements_;
  std::vector<uint32_t> nulls_;
};

// regexp_matches: a row of text[] for the first match, or for every one with the flag 'g'.
void AddMatches(FunctionList* list, std::vector<SqlType> arg_types,
                const RegexSignature& signature) {
  TableFunctionDef function;
  function.name = "regexp_matches";
  function.arg_types = std::move(arg_types);
  function.column_types = {ArrayOf(TypeId::kText)};
  function.column_names = {"regexp_matches"};
  function.bind = [signature](const std::vector<const Column*>& constants) {
    return BindRegex(constants, signature);
  };
  function.kernel = [signature](const std::vector<FunctionArg>& args,
                                const FunctionCallContext& context, std::vector<uint32_t>* parents,
                                std::vector<ColumnPtr>* out) {
    RegexCalls calls(args, context.state, signature);
    ListRows rows(parents);
    context.rows.ForEach([&](uint32_t row) {
      absl::StatusOr<const RegexCall*> call = calls.ForRow(row);
      if (!call.ok()) {
        context.errors->Add(row, call.status());
        return;
      }
      std::string_view text = args[0].value<TextView>(row).view();
      std::vector<Regex::Span> spans(static_cast<size_t>((*call)->regex->groups()) + 1);
      absl::Status status = ForEachMatch(*(*call)->regex, text, 0, &spans,
                                         [&](const std::vector<Regex::Span>& match) {
                                           rows.Add(row, text, match);
                                           return (*call)->global;
                                         });
      if (!status.ok()) {
        rows.Drop(row);
        context.errors->Add(row, std::move(status));
      }
    });
    out->push_back(rows.Finish(*args[0].column));
  };
  list->Add(std::move(function));
}

}  // namespace

void AddSplitTables(FunctionList* list) {
  AddRegexSplit(list, {kTextType, kTextType}, {});
  AddRegexSplit(list, {kTextType, kTextType, kTextType},
                {.flags_arg = 2, .refuses_global = "regexp_split_to_table"});
  AddMatches(list, {kTextType, kTextType}, {.groups = true});
  AddMatches(list, {kTextType, kTextType, kTextType}, {.flags_arg = 2, .groups = true});
  AddStringToTable(list, {kTextType, kTextType});
  AddStringToTable(list, {kTextType, kTextType, kTextType});
  AddStringToArray(list, {kTextType, kTextType});
  AddStringToArray(list, {kTextType, kTextType, kTextType});
}

}  // namespace millrace
