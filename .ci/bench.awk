# The table of `.ci/bench`: figures in, medians of paired ratios out. Input: label, name, value, with tabs between;
# the n-th figure of one label is paired with the n-th of another.
BEGIN { FS = "\t" }
{ value[$1, $2, ++count[$1, $2]] = $3 }

function median(list, n,    i, j, t) {
  for (i = 2; i <= n; i++)
    for (j = i; j > 1 && list[j] < list[j - 1]; j--) { t = list[j]; list[j] = list[j - 1]; list[j - 1] = t }
  return n % 2 ? list[(n + 1) / 2] : (list[n / 2] + list[n / 2 + 1]) / 2
}

# The median of one figure; "" if it was not measured.
function one(label, name,    i, list, n) {
  n = count[label, name]
  if (!n) return ""
  for (i = 1; i <= n; i++) list[i] = value[label, name, i]
  return median(list, n)
}

# The median of the ratios of the pairs.
function ratio(a, an, b, bn,    i, list, n) {
  n = count[a, an] < count[b, bn] ? count[a, an] : count[b, bn]
  if (!n) return ""
  for (i = 1; i <= n; i++) list[i] = value[b, bn, i] ? value[a, an, i] / value[b, bn, i] : 0
  return median(list, n)
}

# At a rate that was not reached the latency is that of a queue that grows, and compares with nothing.
function at_rate(goal, what, must, aim, label, name, base, unit, rate,    r) {
  r = one(label, "rate")
  if (r == "") return
  if (r > rate * 0.97) row(goal, what, must, aim, "less", label, name, base, name, unit)
  else printf "| %s | %s | %s | %s | not reached (missed) | %d of %d per s |\n", goal, what, must, aim, r, rate
}

function row(goal, what, must, aim, better, a, an, b, bn, unit,    r, verdict) {
  r = ratio(a, an, b, bn)
  if (r == "") return
  verdict = must == "" || (better == "more" ? r >= must : r <= must) ? "" : " (missed)"
  printf "| %s | %s | %s | %s | **%.2f**%s | %.0f / %.0f %s |\n", goal, what, must, aim, r, verdict, one(a, an), one(b, bn), unit
}

function stages(label, what,    i, names, n, each, line) {
  n = split("gateway router sinks broker database up load", names, " ")
  for (i = 1; i <= n; i++) {
    each = one(label, "cpu." names[i])
    if (each != "") line = line sprintf(" %s %.0f", names[i], each)
  }
  if (line != "") printf "| %s | %.0f/s |%s | %.2f |\n", what, one(label, "rate"), line, one(label, "else")
}

END {
  print "| # | what / beside what | must | aim | ratio | figures |"
  print "|---|---|---|---|---|---|"
  row("G1", "ingest, 256 connections / lapin, window 256", 0.85, 1.10, "more", "ingest.256", "rate", "lapin.256", "rate", "per s")
  row("G2", "ingest, 512 connections / raw, window 512", 0.45, 0.60, "more", "ingest.512", "rate", "raw.512", "rate", "per s")
  row("G3", "gateway CPU per ingested message / bare hyper", 4.0, 2.2, "less", "ingest.256", "cpu.gateway", "http.256", "cpu.bare", "us")
  row("G4", "there and back, window 1024 / raw two hops", 0.65, 0.80, "more", "chat.0", "rate", "hops.0", "rate", "per s")
  at_rate("", "the same at 200/s, p50", "", "", "chat.200", "p50", "hops.200", "us", 200)
  at_rate("", "the same at 200/s, p99", "", "", "chat.200", "p99", "hops.200", "us", 200)
  at_rate("G5", "the same at 1000/s, p50", 1.6, 1.25, "chat.1000", "p50", "hops.1000", "us", 1000)
  at_rate("G5", "the same at 1000/s, p99", 1.8, 1.3, "chat.1000", "p99", "hops.1000", "us", 1000)
  at_rate("G6", "the same at 5000/s, p50", 2.0, 1.3, "chat.5000", "p50", "hops.5000", "us", 5000)
  at_rate("G6", "the same at 5000/s, p99", 2.5, 1.5, "chat.5000", "p99", "hops.5000", "us", 5000)
  at_rate("", "broker CPU there and back at 200/s / raw two hops", "", "", "chat.200", "cpu.broker", "hops.200", "us", 200)
  at_rate("G7", "the same at 1000/s", 1.15, 1.0, "chat.1000", "cpu.broker", "hops.1000", "us", 1000)
  row("G8", "router CPU per message, many conversations / lapin relay", 1.10, 1.05, "less", "many", "cpu.router", "relay", "cpu.relay", "us")
  row("G11", "frames on 64 sockets / bare echo", 0.75, 0.90, "more", "echo.gateway", "rate", "echo.bare", "rate", "per s")
  row("G12", "memory of an idle socket / bare echo", 2.0, 1.4, "less", "idle.gateway", "bytes.gateway", "idle.bare", "bytes.bare", "bytes")
  row("G13", "MQTT, QoS 1, window 512, to the listener / RabbitMQ's plugin", 0.80, 1.10, "more", "devices.listener", "rate", "devices.plugin", "rate", "per s")
  row("G13", "the same through Mosquitto", 0.80, 1.10, "more", "devices.through", "rate", "devices.plugin", "rate", "per s")
  row("G16", "there and back, embedded / RabbitMQ and PostgreSQL", 2, 4, "more", "embedded.0", "rate", "chat.0", "rate", "per s")
  # Of a process that has seen no other load yet.
  m = value["ingest.256", "memory.gateway", 1]
  if (m != "") printf "| G17 | gateway memory, 256 keep-alive connections | 40 MB | 20 MB | **%.1f MiB**%s | |\n", m, m <= 40 / 1.048576 ? "" : " (missed)"
  d = one("devices.idle", "bytes.gateway")
  if (d != "") printf "| | memory of an idle device on the listener | | | %.0f bytes | |\n", d
  n = split("Garbage WrongToken TooLarge SlowHeaders Flood NeverReads", kinds, " ")
  for (i = 1; i <= n; i++) {
    r = one("hostile", kinds[i])
    if (r != "") printf "| | a control visitor's p99 beside %s / alone | 2.0 | | **%.2f**%s | |\n", kinds[i], r, r <= 2 ? "" : " (missed)"
  }
  print ""
  print "| load | rate | CPU per message, us | cores busy with something else |"
  print "|---|---|---|---|"
  stages("ingest.256", "ingest, 256 connections")
  stages("hops.200", "raw two hops at 200/s")
  stages("chat.200", "there and back at 200/s")
  stages("hops.1000", "raw two hops at 1000/s")
  stages("chat.1000", "there and back at 1000/s")
  stages("hops.0", "raw two hops, window 1024")
  stages("chat.0", "there and back, window 1024")
  stages("embedded.200", "embedded, there and back at 200/s")
  stages("embedded.1000", "embedded, there and back at 1000/s")
  stages("embedded.0", "embedded, there and back, window 1024")
}
