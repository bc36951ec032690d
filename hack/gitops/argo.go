package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// luaWithin is how long Argo CD lets a health check run.
const luaWithin = time.Second

// argoStatuses are what a health check may return (Argo CD, "Custom Health Checks").
var argoStatuses = []string{"Healthy", "Progressing", "Degraded", "Suspended"}

// argoLibraries are those that Argo CD opens where nobody has set useOpenLibs, but for os, which it cuts down to the
// time: a health check that needs the time is none that can be tried (argo-cd v3.5, util/lua).
var argoLibraries = []struct {
	name string
	open lua.LGFunction
}{
	{lua.LoadLibName, lua.OpenPackage},
	{lua.BaseLibName, lua.OpenBase},
	{lua.TabLibName, lua.OpenTable},
}

// argoCheck runs the health check in this file as Argo CD does: the object is the global obj, and the table that the
// script returns is the answer.
func argoCheck(path string) (check, error) {
	script, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return func(object *unstructured.Unstructured) (Health, error) {
		health, err := runLua(string(script), object)
		if err != nil {
			return health, fmt.Errorf("%s: %w", path, err)
		}
		return health, nil
	}, nil
}

func runLua(script string, object *unstructured.Unstructured) (Health, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for _, library := range argoLibraries {
		open := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(open, lua.LString(library.name)); err != nil {
			return Health{}, err
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), luaWithin)
	defer cancel()
	state.SetContext(ctx)
	state.SetGlobal("obj", toLua(state, object.Object))
	if err := state.DoString(script); err != nil {
		return Health{}, err
	}
	table, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return Health{}, fmt.Errorf("it returned no table but %s", state.Get(-1).Type())
	}
	health := Health{Status: lua.LVAsString(table.RawGetString("status")), Message: lua.LVAsString(table.RawGetString("message"))}
	if !slices.Contains(argoStatuses, health.Status) {
		return Health{}, fmt.Errorf("%q is no health status, only %v are", health.Status, argoStatuses)
	}
	return health, nil
}

// toLua turns what JSON can hold into what Lua can.
func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case float64:
		return lua.LNumber(value)
	case int64:
		return lua.LNumber(value)
	case string:
		return lua.LString(value)
	case []any:
		list := state.CreateTable(len(value), 0)
		for _, item := range value {
			list.Append(toLua(state, item))
		}
		return list
	case map[string]any:
		table := state.CreateTable(0, len(value))
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}
