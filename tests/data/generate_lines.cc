// Writes the input of the long test of prepare to standard output: a header, then lines
// "user,item,time" in shuffled order with keys of 36 characters, exactly as many users and items as
// asked for. Not part of the program, and not a model of anyone's behaviour: for that, see synth.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace {

// A bijection of 64-bit numbers (the finaliser of splitmix64).
std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

// A shuffle of 0 .. count-1: four Feistel rounds over the next even power of two, walked until the
// value is in range.
class Shuffle {
 public:
  explicit Shuffle(std::uint64_t count) : count_(count) {
    while ((std::uint64_t{1} << (2 * half_bits_)) < count) ++half_bits_;
  }
  std::uint64_t operator()(std::uint64_t i) const {
    const std::uint64_t mask = (std::uint64_t{1} << half_bits_) - 1;
    do {
      std::uint64_t left = i >> half_bits_, right = i & mask;
      for (std::uint64_t round = 0; round < 4; ++round) {
        const std::uint64_t next = left ^ (mix(right + (round << 40)) & mask);
        left = right;
        right = next;
      }
      i = left << half_bits_ | right;
    } while (i >= count_);
    return i;
  }

 private:
  std::uint64_t count_;
  int half_bits_ = 1;
};

// 8-4-4-4-12 hexadecimal digits; different for different (id, kind).
void append_uuid(std::string& out, std::uint64_t id, std::uint64_t kind) {
  const std::uint64_t words[2] = {mix(2 * id + kind), mix(mix(2 * id + kind) + 1)};
  for (int digit = 0; digit < 32; ++digit) {
    if (digit == 8 || digit == 12 || digit == 16 || digit == 20) out.push_back('-');
    out.push_back("0123456789abcdef"[words[digit / 16] >> (4 * (digit % 16)) & 15]);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: generate_lines LINES USERS ITEMS   (LINES >= USERS, ITEMS)\n");
    return 2;
  }
  const std::uint64_t lines = std::strtoull(argv[1], nullptr, 10);
  const std::uint64_t users = std::strtoull(argv[2], nullptr, 10);
  const std::uint64_t items = std::strtoull(argv[3], nullptr, 10);
  if (users == 0 || items == 0 || lines < users || lines < items) return 2;
  const Shuffle shuffle(lines);
  std::string out = "user_id,item_id,timestamp\n";
  for (std::uint64_t line = 0; line < lines; ++line) {
    const std::uint64_t event = shuffle(line);
    // Every item once, then by a popularity that falls like one over the root of the rank.
    const std::uint64_t draw = mix(event) % items;
    const std::uint64_t item = event < items ? event : draw * (mix(~event) % items) / items;
    append_uuid(out, event % users, 0);
    out.push_back(',');
    append_uuid(out, item, 1);
    out.push_back(',');
    out += std::to_string(1500000000 + mix(event ^ 0x5bd1e995) % 100000000);
    out.push_back('\n');
    if (out.size() > (1 << 20) || line + 1 == lines) {
      if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size()) {
        std::perror("generate_lines");
        return 1;
      }
      out.clear();
    }
  }
  return 0;
}
