#include <sys/resource.h>
#include <cstdio>
#include <thread>
#include <atomic>
#include "absl/time/clock.h"
#include "connectors/all.h"
#include "connectors/kafka/admin.h"
#include "tests/harness/kafka_broker.h"
using namespace millrace;
static double Cpu(){ rusage u; getrusage(RUSAGE_SELF,&u); return u.ru_utime.tv_sec+u.ru_stime.tv_sec+1e-6*(u.ru_utime.tv_usec+u.ru_stime.tv_usec);}
#define OK(x) do { auto st_=(x); if(!st_.ok()){ printf("%s: %s\n", #x, st_.ToString().c_str()); exit(1);} } while(0)
int main(int argc,char**argv){
  int64_t n = argc>1?atoll(argv[1]):2000000;
  double t0=absl::ToUnixSeconds(absl::Now());
  auto broker = KafkaBroker::Start(); if(!broker.ok()){printf("%s\n",broker.status().ToString().c_str());return 1;}
  printf("broker %.1fs\n", absl::ToDoubleSeconds(absl::Now()-absl::FromUnixMicros(t0*1e6)));
  std::string bs=(*broker)->bootstrap_servers();
  auto admin=KafkaAdmin::Create({{"bootstrap.servers",bs}});
  OK((*admin)->CreateTopic({.name="test",.partitions=4,.replication=1},absl::Seconds(10)));
  auto p=NewKafkaRecordProducer({{"bootstrap.servers",bs},{"linger.ms","20"}},"test",absl::Seconds(10)); OK(p.status());
  std::string line(90,'x');
  for(int64_t i=0;i<n;i++){ for(int j=0;j<90;j++) line[j]='a'+((i*7+j*13)%26); for (int j=7;j<90;j+=8) line[j]=' '; OK((*p)->Send(std::nullopt,line,i%4)); }
  OK((*p)->Flush(absl::Seconds(60)));
  printf("produced %.1f cpu %.2f\n", absl::ToUnixSeconds(absl::Now())-t0, Cpu());
  auto reg=BuiltInConnectors();
  proto::Source s; s.set_table("t"); s.set_connector("kafka"); s.set_format("raw");
  (*s.mutable_options())["bootstrap.servers"]=bs; (*s.mutable_options())["topic"]="test";
  auto* d=s.add_declared(); d->set_name("value"); d->mutable_type()->set_kind(proto::TYPE_TEXT);
  auto* c=s.add_columns(); c->set_name("value"); c->mutable_type()->set_kind(proto::TYPE_TEXT); c->set_declared(0);
  auto src=*reg->Source("kafka"); OK(src->Validate(s));
  SourceContext ctx; ctx.job_name="j";
  auto e=src->CreateEnumerator(s,ctx); OK(e.status());
  auto names=*(*e)->Discover(absl::Seconds(10));
  absl::Time a=absl::Now(); auto ends=(*e)->Ends(names,absl::Seconds(10)); OK(ends.status());
  printf("ends first %.2fms\n", absl::ToDoubleMilliseconds(absl::Now()-a));
  a=absl::Now(); for(int i=0;i<100;i++) OK((*e)->Ends(names,absl::Seconds(10)).status());
  printf("ends %.3fms\n", absl::ToDoubleMilliseconds(absl::Now()-a)/100);
  for(int rep=0;rep<3;rep++){
    double c0=Cpu(); absl::Time b=absl::Now();
    auto r=*src->CreateReader(s,ctx);
    for(auto&x:*ends) OK(r->Assign(x.partition,Offset(0)));
    std::atomic<int64_t> total{0};
    std::vector<std::thread> th;
    for(int t=0;t<2;t++) th.emplace_back([&,t]{ int64_t pos[4]={0,0,0,0}; uint64_t h[4]={0}; bool more=true;
      while(more){ more=false; for(size_t i=t;i<4;i+=2){ if(pos[i]>=(*ends)[i].stable_end.value()) continue; more=true;
        auto ch=r->Read((*ends)[i].partition,(*ends)[i].stable_end,8192,h[i],absl::Now()+absl::Seconds(10)); OK(ch.status());
        pos[i]=ch->next.value(); h[i]=ch->input_hash; total+=ch->offsets.size(); } } });
    for(auto&t:th) t.join();
    double w=absl::ToDoubleSeconds(absl::Now()-b);
    rusage u; getrusage(RUSAGE_SELF,&u);
    printf("read %ld in %.2fs: %.2f M/s, cpu %.3f per M, rss %ld MB\n",(long)total,w,total/w/1e6,(Cpu()-c0)/(total/1e6),u.ru_maxrss/1024);
  }
  // latency
  std::atomic<int64_t> prog{0}; ctx.on_progress=[&]{prog++;};
  auto r=*src->CreateReader(s,ctx);
  for(auto&x:*ends) OK(r->Assign(x.partition,x.stable_end));
  auto q=*NewKafkaRecordProducer({{"bootstrap.servers",bs},{"linger.ms","0"}},"test",absl::Seconds(10));
  absl::SleepFor(absl::Milliseconds(500));
  double worst=0,sum=0; int64_t end0=(*ends)[0].stable_end.value();
  for(int i=0;i<300;i++){ OK(q->Send(std::nullopt,line,0)); absl::Time s0=absl::Now(); OK(q->Flush(absl::Seconds(5))); absl::Time acked=absl::Now();
    while(r->FetchedTo()[0].offset.value()<end0+i+1 && absl::Now()-s0<absl::Seconds(2)) absl::SleepFor(absl::Microseconds(50));
    double ms=absl::ToDoubleMilliseconds(absl::Now()-acked); sum+=ms; worst=std::max(worst,ms); absl::SleepFor(absl::Milliseconds(3)); }
  printf("fetched after ack: mean %.2f ms worst %.2f ms, progress calls %ld\n",sum/300,worst,(long)prog);
  double c0=Cpu(); absl::SleepFor(absl::Seconds(3)); printf("idle cpu %.2f%%\n",(Cpu()-c0)/3*100);
}
