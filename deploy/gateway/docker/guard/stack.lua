-- What the engine holds of this stack: its code locations' containers, and who else is whose.

local json = require("guard.json")

local stack = { project = os.getenv("COMPOSE_PROJECT_NAME") }

local ENGINE = "unix@" .. (os.getenv("ENGINE_SOCKET") or "/var/run/docker.sock")
-- What this gateway asks in, the oldest that engines of today still answer.
local VERSION = "/v1.44"
-- Former containers of a location by which a run may still be configured.
local KEPT = 5

stack.PROJECT = "compose_run_launcher.project"
stack.LOCATION = "compose_run_launcher.location"
stack.ROLE = "compose_run_launcher.role"
stack.NETWORK = "compose_run_launcher.network"
stack.COMPOSE = "com.docker.compose."
local COMPOSE_PROJECT = stack.COMPOSE .. "project"
local COMPOSE_SERVICE = stack.COMPOSE .. "service"

-- Answers of the engine; nil and a status when it has none.
local function ask(path)
    local answer = core.httpclient():get({ url = "http://engine" .. VERSION .. path, dst = ENGINE, timeout = 10000 })
    if answer.status ~= 200 then return nil, answer.status end
    local found, reason = json.parse(answer.body)
    if not found then error("the engine's answer to " .. path .. ": " .. reason) end
    return found
end

local function labels_of(container)
    local labels = container.Config.Labels
    return labels == json.null and {} or labels
end

-- Whether a name is one of this stack's RPC networks', in which code servers answer.
function stack.is_rpc(network)
    local prefix = stack.project .. "_rpc_"
    return network:sub(1, #prefix) == prefix
end

-- What the engine says of a network: false when there is none, nil when it does not answer.
function stack.network(name)
    local network, status = ask("/networks/" .. name)
    if status == 404 then return false end
    return network
end

-- Whose a container is: "run", "code location" or "control plane" of this stack, "foreign", or
-- "none"; and what the engine says of it. Nil when the engine does not answer.
function stack.owner(name)
    local container, status = ask("/containers/" .. name .. "/json")
    if status == 404 then return "none" end
    if not container then return nil end
    local labels = labels_of(container)
    if labels[stack.PROJECT] == stack.project and labels[stack.ROLE] == "run" then
        return "run", container
    end
    if labels[COMPOSE_PROJECT] == stack.project and labels[stack.ROLE] == "code-location" then
        return "code location", container
    end
    if labels[COMPOSE_PROJECT] == stack.project and labels[stack.ROLE] == "control-plane"
        and labels[stack.COMPOSE .. "oneoff"] == "False" then
        return "control plane", container
    end
    return "foreign", container
end

-- Name of a code location -> its containers as inspected, the newest first; former ones too.
local locations = {}

local function environment(container)
    local found = {}
    for _, entry in ipairs(container.Config.Env or {}) do
        local name, text = entry:match("^([^=]*)=(.*)$")
        if name then found[name] = text end
    end
    return found
end

-- Puts a container before the others of its location, or in its own former place.
local function remember(container)
    local name = labels_of(container)[COMPOSE_SERVICE]
    local known = locations[name] or {}
    locations[name] = known
    local variables = environment(container)
    container.image_repository = variables.DAGSTER_IMAGE_REPOSITORY
    container.release = variables.DAGSTER_CURRENT_IMAGE
    for index, former in ipairs(known) do
        if former.Id == container.Id then
            known[index] = container
            return
        end
    end
    table.insert(known, 1, container)
    known[KEPT + 1] = nil
end

-- Looks at the code locations' containers that are there now.
local function look()
    local filters = string.format('{"label":["%s=%s","%s=code-location"]}', COMPOSE_PROJECT, stack.project, stack.ROLE)
    local encoded = filters:gsub("[^%w]", function(char) return string.format("%%%02X", char:byte()) end)
    local listed = ask("/containers/json?all=1&filters=" .. encoded) or {}
    -- From the oldest, so that the newest stands first.
    for index = #listed, 1, -1 do
        local container = ask("/containers/" .. listed[index].Id .. "/json")
        if container then remember(container) end
    end
end

-- What `judge` returns of the containers of one location, inspected, the newest first: of those
-- that are known, and, while its first answer is not true, of those that are there now.
function stack.of_location(name, judge)
    local verdict, reason, status = judge(locations[name] or {})
    if verdict then return verdict end
    look()
    verdict, reason, status = judge(locations[name] or {})
    return verdict, reason, status
end

-- Whether `pick` is true of a container of any code location.
function stack.any(pick)
    for round = 1, 2 do
        if round == 2 then look() end
        for _, known in pairs(locations) do
            for _, container in ipairs(known) do
                if pick(container) then return true end
            end
        end
    end
    return false
end

-- An image's tags and digests; empty when the engine does not have it.
function stack.image_names(reference)
    local image = ask("/images/" .. reference .. "/json")
    local names = {}
    for _, key in ipairs({ "RepoTags", "RepoDigests" }) do
        local listed = image and image[key] or {}
        for _, name in ipairs(listed == json.null and {} or listed) do names[#names + 1] = name end
    end
    return names
end

-- A reference without its tag or digest.
function stack.repository(reference)
    local name = reference:gsub("@.*$", "")
    return (name:gsub(":[^/:]*$", ""))
end

return stack
