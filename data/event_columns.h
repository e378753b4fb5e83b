// What is known of events besides their items: columns of the data set and columns that follow from
// times and places, each by a name that models and people use. Fills them in where batches are
// made; computes nothing that depends on a rank.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "data/windows.h"

namespace seqrank {

// By name, how many values a column has: ids are below it (Batch::ids). 0: numbers
// (Batch::numbers).
//   position  place in the sequence as the model sees it, from 0; max_length values
//   gap       floor(log2(1 + seconds since the event before)), 0 for a first event; 48 values
//   hour      of the day, UTC; 24 values
//   weekday   from Monday, UTC; 7 values
// The last three need times. Of the data set's features:
//   action, domain, NAME  of the event
//   user.NAME             of the event's sequence
//   item.NAME             of the event's item
//   target.NAME           of the item that follows: only in batches that have target_N
std::map<std::string, std::int64_t> event_columns(const Dataset& dataset, std::int64_t max_length);

// What the values of a stored column of ids are called, by id; one without a name by its number.
// None of numbers and of computed columns, whose ids mean the same everywhere.
std::vector<std::string> value_names(const Dataset& dataset, const std::string& column);
// Of the columns of `needs` that have such names: what identifies these, in order, 16 hex digits.
std::map<std::string, std::string> column_fingerprints(const Dataset& dataset,
                                                       const BatchNeeds& needs);

// What the columns of `needs` are there, by the columns of the data set. Throws Error(usage) that
// names a missing one and lists those there are.
void check_columns(const Dataset& dataset, const BatchNeeds& needs, std::int64_t max_length);

enum class WithRows { yes, no };  // whether gradients will be wanted
// Adds the columns, times and labels that are needed to a batch of these windows. What is of
// targets (target.NAME, target_label_N) only where the batch has target_N: when ranking all items,
// what follows is not known, and a model must not ask for it before it scores given targets.
void add_columns(const Dataset& dataset, Arena& arena, std::span<const Window> windows,
                 const BatchNeeds& needs, WithRows with_rows, Batch& batch);
// Has a batch that has no targets ask about this item after each of its events.
void ask_about(const Dataset& dataset, Arena& arena, std::int32_t item, const BatchNeeds& needs,
               Batch& batch);

}  // namespace seqrank
