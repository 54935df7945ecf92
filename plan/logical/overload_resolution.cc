#include "plan/logical/overload_resolution.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "plan/logical/coercion.h"

namespace millrace::plan {
namespace {

// An overload with one parameter per actual argument.
struct Candidate {
  size_t index = 0;
  bool variadic = false;
  std::vector<SqlType> parameters;
};

bool IsUnknown(const SqlType& type) { return type.id == TypeId::kUnknown; }

// The type that an argument is converted to for a parameter. An any-type parameter takes every type
// as it is, except that an untyped literal must become some type.
SqlType TargetType(const SqlType& parameter, const SqlType& argument) {
  if (IsUnknown(parameter)) {
    return IsUnknown(argument) ? MakeType(TypeId::kText) : argument;
  }
  if (parameter.id == TypeId::kArray && IsUnknown(MakeType(parameter.element)) &&
      argument.id == TypeId::kArray) {
    return argument;
  }
  return parameter;
}

std::optional<Candidate> Expand(const Signature& signature, size_t index,
                                const std::vector<SqlType>& arguments) {
  std::vector<SqlType> parameters = signature.parameters;
  if (signature.variadic && arguments.size() >= parameters.size() && !parameters.empty()) {
    parameters.resize(arguments.size(), parameters.back());
  }
  if (parameters.size() != arguments.size()) {
    return std::nullopt;
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    parameters[i] = TargetType(parameters[i], arguments[i]);
    if (!CanCast(arguments[i], parameters[i], CastContext::kImplicit)) {
      return std::nullopt;
    }
  }
  return Candidate{
      .index = index, .variadic = signature.variadic, .parameters = std::move(parameters)};
}

int CountExact(const Candidate& candidate, const std::vector<SqlType>& arguments) {
  int exact = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    exact += !IsUnknown(arguments[i]) && SameType(arguments[i], candidate.parameters[i]) ? 1 : 0;
  }
  return exact;
}

// Exact matches and parameters of the preferred type of the argument's category.
int CountPreferred(const Candidate& candidate, const std::vector<SqlType>& arguments) {
  int preferred = 0;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (IsUnknown(arguments[i])) {
      continue;
    }
    const SqlType& parameter = candidate.parameters[i];
    const bool leans = IsPreferred(parameter) && CategoryOf(parameter) == CategoryOf(arguments[i]);
    preferred += SameType(arguments[i], parameter) || leans ? 1 : 0;
  }
  return preferred;
}

template <typename Score>
void KeepBest(std::vector<Candidate>* candidates, const Score& score) {
  int best = 0;
  for (const Candidate& candidate : *candidates) {
    best = std::max(best, score(candidate));
  }
  std::erase_if(*candidates, [&](const Candidate& candidate) { return score(candidate) < best; });
}

// For an untyped literal at `slot`: keeps candidates that take a string there; without any, those
// of the one category that all candidates agree on. Of these, it keeps those that take the
// category's preferred type, if there are any.
bool NarrowByCategory(size_t slot, std::vector<Candidate>* candidates) {
  const auto category_at = [slot](const Candidate& candidate) {
    return CategoryOf(candidate.parameters[slot]);
  };
  TypeCategory chosen = category_at(candidates->front());
  bool agree = true;
  for (const Candidate& candidate : *candidates) {
    if (category_at(candidate) == TypeCategory::kString) {
      chosen = TypeCategory::kString;
      agree = true;
      break;
    }
    agree = agree && category_at(candidate) == chosen;
  }
  if (!agree) {
    return false;
  }
  std::erase_if(*candidates,
                [&](const Candidate& candidate) { return category_at(candidate) != chosen; });
  const auto preferred = [slot](const Candidate& candidate) {
    return IsPreferred(candidate.parameters[slot]);
  };
  if (std::any_of(candidates->begin(), candidates->end(), preferred)) {
    std::erase_if(*candidates, [&](const Candidate& candidate) { return !preferred(candidate); });
  }
  return true;
}

// The last resort: if all known arguments are of one type, take the unknown ones for that type too.
void NarrowByKnownType(const std::vector<SqlType>& arguments, std::vector<Candidate>* candidates) {
  SqlType known;
  for (const SqlType& argument : arguments) {
    if (IsUnknown(argument)) {
      continue;
    }
    if (!IsUnknown(known) && !SameType(known, argument)) {
      return;
    }
    known = argument;
  }
  if (IsUnknown(known)) {
    return;
  }
  std::vector<Candidate> accepting;
  for (const Candidate& candidate : *candidates) {
    if (std::all_of(candidate.parameters.begin(), candidate.parameters.end(),
                    [&](const SqlType& parameter) {
                      return CanCast(known, parameter, CastContext::kImplicit);
                    })) {
      accepting.push_back(candidate);
    }
  }
  if (accepting.size() == 1) {
    *candidates = std::move(accepting);
  }
}

void NarrowByUnknowns(const std::vector<SqlType>& arguments, std::vector<Candidate>* candidates) {
  std::vector<Candidate> narrowed = *candidates;
  bool resolved = true;
  for (size_t i = 0; i < arguments.size() && resolved; ++i) {
    resolved = !IsUnknown(arguments[i]) || NarrowByCategory(i, &narrowed);
  }
  if (resolved && !narrowed.empty()) {
    *candidates = std::move(narrowed);
  }
  if (candidates->size() > 1) {
    NarrowByKnownType(arguments, candidates);
  }
}

OverloadResolution Found(const Candidate& candidate) {
  return {.outcome = OverloadResolution::Outcome::kFound,
          .index = candidate.index,
          .arguments = candidate.parameters};
}

}  // namespace

OverloadResolution ResolveOverload(const std::vector<Signature>& signatures,
                                   const std::vector<SqlType>& arguments) {
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < signatures.size(); ++i) {
    if (std::optional<Candidate> candidate = Expand(signatures[i], i, arguments);
        candidate.has_value()) {
      candidates.push_back(*std::move(candidate));
    }
  }
  if (candidates.empty()) {
    return {};
  }
  // A variadic overload loses against a plain one that takes as many arguments.
  if (std::any_of(candidates.begin(), candidates.end(),
                  [](const Candidate& c) { return !c.variadic; })) {
    std::erase_if(candidates, [](const Candidate& c) { return c.variadic; });
  }
  KeepBest(&candidates,
           [&](const Candidate& candidate) { return CountExact(candidate, arguments); });
  if (candidates.size() > 1) {
    KeepBest(&candidates,
             [&](const Candidate& candidate) { return CountPreferred(candidate, arguments); });
  }
  if (candidates.size() > 1 && std::any_of(arguments.begin(), arguments.end(), IsUnknown)) {
    NarrowByUnknowns(arguments, &candidates);
  }
  if (candidates.size() > 1) {
    return {.outcome = OverloadResolution::Outcome::kAmbiguous};
  }
  return Found(candidates.front());
}

OverloadResolution ResolveOperator(const std::vector<Signature>& signatures,
                                   const std::vector<SqlType>& arguments) {
  if (arguments.size() == 2 && IsUnknown(arguments[0]) != IsUnknown(arguments[1])) {
    // The type without its modifiers: a literal beside a numeric(5,2) is not rounded to two digits.
    const SqlType known = WithoutModifiers(IsUnknown(arguments[0]) ? arguments[1] : arguments[0]);
    for (size_t i = 0; i < signatures.size(); ++i) {
      const std::vector<SqlType>& parameters = signatures[i].parameters;
      if (parameters.size() == 2 && SameType(parameters[0], known) &&
          SameType(parameters[1], known)) {
        return {.outcome = OverloadResolution::Outcome::kFound,
                .index = i,
                .arguments = {known, known}};
      }
    }
  }
  return ResolveOverload(signatures, arguments);
}

}  // namespace millrace::plan
