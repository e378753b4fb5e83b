// One question a target, or one a sequence.
#include "data/questions.h"

#include <algorithm>

#include "backend/check.h"

namespace seqrank {

Questions::Questions(const Protocol& protocol, Split split)
    : protocol_(protocol),
      split_(split),
      counts_(protocol.dataset().sequences(), [protocol, split](std::int64_t sequence) {
        const std::int64_t targets = protocol.targets(split, sequence).count();
        return protocol.kind() == ProtocolKind::temporal ? std::min<std::int64_t>(targets, 1)
                                                         : targets;
      }) {
  SR_CHECK(split != Split::train, ErrorKind::usage,
           "evaluation is of the validation or the test split, not of train");
}

Question Questions::at(std::int64_t question) const {
  const auto [sequence, inside, of] = counts_.at(question);
  const EventRange targets = protocol_.targets(split_, sequence);
  const bool one_each = protocol_.kind() == ProtocolKind::temporal;
  return {sequence, dataset().begin(sequence), targets.begin + inside,
          one_each ? targets.count() : 1};
}

}  // namespace seqrank
