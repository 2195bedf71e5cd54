# bench.jsonl (lines of rmt-bench --json, of the rival's script and of bench-loader) -> a table: for
# each model, mode and batch, images a second and peak memory of ours, of PyTorch's AMP as it is and of
# torch.compile, the best of each, and how many times as fast ours is.
function field(name,  part) {
  if (!match($0, "\"" name "\": *(\"[^\"]*\"|[^,}]*)")) return ""
  part = substr($0, RSTART, RLENGTH)
  sub(/^"[^"]*": */, "", part)
  gsub(/"/, "", part)
  return part
}
{
  model = tolower(field("model"))
  sub(/rmt_t3/, "rmt_t", model)
  speed = field("images_per_s")
  if (speed == "") next
  who = field("torch") == "" ? "ours" : field("compile") == "none" ? "eager" : "compiled"
  row = sprintf("%-7s %-6s %5d", model, field("mode"), field("batch"))
  if (!(row in seen)) { seen[row] = 1; rows[++n] = row }
  if (!((row, who) in best) || speed + 0 > best[row, who]) {
    best[row, who] = speed + 0
    memory[row, who] = field("peak_MiB")
    spread[row, who] = field("spread")
  }
}
function cell(row, who) {
  if (!((row, who) in best)) return "        -          -"
  return sprintf("%9.1f %6d MiB", best[row, who], memory[row, who])
}
function times(row, who) {
  if (!((row, who) in best) || !((row, "ours") in best)) return "-"
  return sprintf("%.2f x", best[row, "ours"] / best[row, who])
}
END {
  printf "%-20s %20s %6s %20s %20s %8s %8s\n", "images/s, memory", "ours", "+-", "PyTorch AMP",
    "torch.compile", "/ AMP", "/ comp."
  for (i = 1; i <= n; ++i)
    printf "%-20s %20s %6s %20s %20s %8s %8s\n", rows[i], cell(rows[i], "ours"),
      sprintf("%.1f%%", 100 * spread[rows[i], "ours"]), cell(rows[i], "eager"), cell(rows[i], "compiled"),
      times(rows[i], "eager"), times(rows[i], "compiled")
}
