// Scalars of a run for TensorBoard, beside metrics.jsonl. Each start of the process writes a file
// of its own, which begins with the step it starts at: TensorBoard then forgets what a killed
// process wrote of that step and later ones. A convenience, not a record: nothing is cut, synced or
// read back, and an error is reported once and ends the events, not the run.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "data/file.h"

namespace seqrank {

class EventFile {
 public:
  using Report = std::function<void(const std::string&)>;

  // Makes the file in `folder`, under a name that sorts after those of earlier starts, which is the
  // order in which TensorBoard reads them. `step`: updates done, all of which it goes on to show.
  EventFile(const std::string& folder, std::int64_t step, Report report);

  // Tags are "group/name". TensorBoard holds scalars as 32-bit floats; not finite ones are allowed.
  void append(std::int64_t step, const std::string& group,
              const std::map<std::string, double>& scalars);

 private:
  void write(const std::string& message);

  Report report_;
  File file_;  // none once it could not be written
  std::int64_t bytes_ = 0;
};

}  // namespace seqrank
