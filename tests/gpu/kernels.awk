# ncu --csv --page raw --print-units base -> a line a kernel, tabs between the columns: ms in all of its
# launches, per cent of the sum, launches, GB read and written, GB/s, name. Last the sum of all.
function number(text) { gsub(/[",]/, "", text); return text + 0 }
BEGIN { FS = "\",\"" }
!columns && /"Kernel Name"/ {
  for (i = 1; i <= NF; ++i) { name = $i; gsub(/"/, "", name); column[name] = i }
  columns = NF
  next
}
columns && NF == columns && $(column["Kernel Name"]) != "" {
  kernel = $(column["Kernel Name"])
  gsub(/rmt::|gpu::|cuda::|void |<unnamed>::|\(anonymous namespace\)::/, "", kernel)
  gsub(/\([A-Za-z_:]+\)/, "", kernel)  # casts of template arguments: (int)4
  sub(/\(.*/, "", kernel)               # parameters
  ns = number($(column["gpu__time_duration.sum"]))
  bytes = number($(column["dram__bytes_read.sum"])) + number($(column["dram__bytes_write.sum"]))
  time[kernel] += ns; moved[kernel] += bytes; ++launches[kernel]
  all_time += ns; all_moved += bytes; ++all_launches
}
function row(ns, n, bytes, name) {
  printf "%10.3f ms\t%5.1f %%\t%5d launches\t%8.2f GB\t%6.0f GB/s\t%s\n", ns / 1e6,
    all_time ? 100 * ns / all_time : 0, n, bytes / 1e9, ns ? bytes / ns : 0, substr(name, 1, 90)
}
END {
  if (!columns) print "no kernel is in what ncu wrote"
  row(all_time, all_launches, all_moved, "all")
  for (kernel in time) row(time[kernel], launches[kernel], moved[kernel], kernel)
}
