-- Which globals a file may touch is the inventory of what it is.

std = "lua54"
max_line_length = 140
unused_args = false -- callbacks name what they are given
exclude_files = { "build*/" }

-- `appmgr lua FILE` gives the script its arguments as lua does.
files["lua/appmgr/main.lua"] = { globals = { "arg" } }

-- A policy is a pure function of its snapshot; the sandbox offers no more than this.
files["policies"] = {
  std = "none",
  read_globals = {
    "assert", "error", "ipairs", "math", "pairs", "select", "string", "table", "tonumber", "tostring", "type",
  },
}

files["spec"] = { std = "+busted" }
files["tests"] = { std = "+busted" }
