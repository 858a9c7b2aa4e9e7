-- Which calls there are, and what must be true of each. Everything else is refused.

local create = require("guard.create")
local json = require("guard.json")
local stack = require("guard.stack")

-- A container is named by its whole id, or by a run's name: a shorter id could become another's.
local ID = "(" .. ("[0-9a-f]"):rep(64) .. ")"
local RUN = "(" .. stack.project:gsub("%p", "%%%0") .. "%-run%-[%x-]+[%w-]*)"
local IMAGE = "([%w][%w./:@_-]*)"

local function is_image_id(name) return name:match("^sha256:%x+$") end

-- Whether a filter leaves nothing but this stack's containers.
local function filtered(call)
    local filters = json.parse(call.query.filters or "")
    if type(filters) ~= "table" then return "it asks for other stacks' containers too" end
    for _, label in ipairs(filters.label or {}) do
        if label == stack.PROJECT .. "=" .. stack.project or label == stack.COMPOSE .. "project=" .. stack.project then
            return nil
        end
    end
    return "it asks for other stacks' containers too"
end

local function events(call)
    local filters = json.parse(call.query.filters or "")
    if type(filters) ~= "table" or not json.same(filters.type, { "container" }) then
        return "it asks for more than containers' events"
    end
    return filtered(call)
end

-- A rule for calls on one container: whose it may be.
local function of(...)
    local owners = table.concat({ ... }, " or ")
    local allowed = { none = true }
    for _, owner in ipairs({ ... }) do allowed[owner] = true end
    return function(call)
        local owner = stack.owner(call.name)
        if not owner then return "the engine does not answer", 503 end
        if not allowed[owner] then return "container " .. call.name .. " is no " .. owners .. " of this stack" end
    end
end

local function known_image(name)
    return stack.any(function(container)
        return name == container.Image or name == container.Config.Image or name == container.release
            or container.image_repository and stack.repository(name) == container.image_repository
    end)
end

local function image(call)
    if not known_image(call.name) then return "image " .. call.name .. " is not one of this stack's code locations" end
end

local function tag(call)
    if not is_image_id(call.name) or not (call.query.tag or ""):match("^[%w][%w_.-]*$") or call.query.tag == "live" then
        return "only an image id gets a release's name"
    end
    local own = stack.any(function(container)
        return call.name == container.Image and call.query.repo == container.image_repository
    end)
    if not own then return "image " .. call.name .. " is not served as " .. tostring(call.query.repo) end
end

local function pull(call)
    local known = stack.any(function(container)
        return stack.repository(container.Config.Image) == call.query.fromImage
            or container.release and stack.repository(container.release) == call.query.fromImage
    end)
    if not known then return "images are not pulled from " .. tostring(call.query.fromImage) end
end

local function wake(call)
    if call.query.signal ~= "SIGUSR1" then return "the one signal is SIGUSR1" end
    return of("run")(call)
end

local function rename(call)
    if not (call.query.name or ""):match("^" .. RUN .. "$") then return "its new name is no run's" end
    return of("run")(call)
end

local function update(call)
    for name, number in pairs(call.body) do
        local reason = create.bad_limit(name, number)
        if reason then return reason end
    end
    return of("run")(call)
end

-- The control plane joins RPC networks; runs join what their service is in, but for that.
local function connect_control_plane(call)
    local id = call.body.Container
    local network = stack.network(call.name)
    if network == nil then return "the engine does not answer", 503 end
    if not stack.is_rpc(call.name) or not network or not network.Internal or json.empty(network.Labels)
        or network.Labels[stack.NETWORK] ~= "rpc" or network.Labels[stack.COMPOSE .. "project"] ~= stack.project then
        return "network " .. call.name .. " is no RPC network of this stack"
    end
    local owner = stack.owner(id)
    if not owner then return "the engine does not answer", 503 end
    if owner ~= "control plane" then return "container " .. id .. " is not of this stack's control plane" end
end

local function connect(call)
    for name, asked in pairs(call.body) do
        -- A name of its own in the network could be the database's.
        if name ~= "Container" and not (name == "EndpointConfig" and json.empty(asked)) then
            return name .. " is not for a run to choose"
        end
    end
    local id = call.body.Container
    if type(id) ~= "string" or not id:match("^" .. ID .. "$") then return "it names no container by its whole id" end
    if call.who == "rpc_networks" then return connect_control_plane(call) end
    if stack.is_rpc(call.name) then return "RPC networks are not for runs" end
    local owner, container = stack.owner(id)
    if not owner then return "the engine does not answer", 503 end
    if owner ~= "run" then return "container " .. id .. " is no run of this stack" end
    local shared = stack.of_location(container.Config.Labels[stack.LOCATION], function(services)
        for _, service in ipairs(services) do
            if service.NetworkSettings.Networks[call.name] then return true end
        end
    end)
    if not shared then return "network " .. call.name .. " is not one of the service's" end
end

local function new(call) return create.refusal(call.query.name or "", call.body) end

local function always() end

-- Method, path, keys that the query may have, what must be true, whether there is a body, and who
-- may do it besides the daemon. `rpc_networks` joins the control plane to RPC networks.
local CALLS = {
    { "GET", "/_ping", {}, always, webserver = true, rpc_networks = true, unversioned = true },
    { "HEAD", "/_ping", {}, always, webserver = true, rpc_networks = true, unversioned = true },
    { "GET", "/version", {}, always, webserver = true, rpc_networks = true, unversioned = true },
    { "GET", "/events", { "since", "until", "filters" }, events, rpc_networks = true },
    { "GET", "/containers/json", { "all", "limit", "size", "trunc_cmd", "filters" }, filtered, rpc_networks = true },
    { "GET", "/containers/" .. ID .. "/json", {}, of("run", "code location"), webserver = true },
    { "GET", "/containers/" .. RUN .. "/json", {}, of("run"), webserver = true },
    { "GET", "/containers/" .. ID .. "/logs", { "stdout", "stderr", "timestamps", "follow", "tail" }, of("run") },
    { "GET", "/images/" .. IMAGE .. "/json", {}, image },
    { "POST", "/images/" .. IMAGE .. "/tag", { "repo", "tag", "force" }, tag },
    { "POST", "/images/create", { "fromImage", "tag" }, pull },
    { "POST", "/containers/create", { "name" }, new, body = true },
    { "POST", "/containers/" .. ID .. "/start", {}, of("run") },
    { "POST", "/containers/" .. ID .. "/stop", { "t" }, of("run"), webserver = true },
    { "POST", "/containers/" .. ID .. "/kill", { "signal" }, wake },
    { "POST", "/containers/" .. ID .. "/rename", { "name" }, rename },
    { "POST", "/containers/" .. ID .. "/update", {}, update, body = true },
    { "DELETE", "/containers/" .. ID, { "v", "force", "link" }, of("run") },
    { "POST", "/networks/([%w][%w_.-]*)/connect", {}, connect, body = true, rpc_networks = true },
}

local calls = {}

-- The call that a method and a path are, and what the path names; nil when there is none.
function calls.find(method, path)
    local version, rest = path:match("^/v1%.(%d%d)(/.*)$")
    -- Older versions take what newer ones have dropped, such as a HostConfig at start.
    -- 1.45 is the first that knows the subpath of a volume.
    if version and tonumber(version) < 45 then return nil end
    for _, call in ipairs(CALLS) do
        local name = call[1] == method and (rest or path):match("^" .. call[2] .. "$")
        if name and (version or call.unversioned) then return call, name end
    end
end

-- The reason why a call is refused, and a status; nil when it is allowed.
function calls.refusal(who, method, path, query, text)
    local rule, name = calls.find(method, path)
    if not rule then return "this call is not one that launching runs needs" end
    if who ~= "daemon" and not rule[who] then return "the " .. who .. " has no business with this call" end
    local allowed = {}
    for _, key in ipairs(rule[3]) do allowed[key] = true end
    for key in pairs(query) do
        if not allowed[key] then return "parameter " .. key .. " is not in use here" end
    end
    local call = { name = name, query = query, who = who }
    if rule.body then
        local reason
        call.body, reason = json.parse(text)
        if type(call.body) ~= "table" or call.body == json.null then return reason or "the body is no JSON object", 400 end
    elseif text ~= "" and not json.empty(json.parse(text)) then
        return "this call has no body"
    end
    return rule[4](call)
end

return calls
